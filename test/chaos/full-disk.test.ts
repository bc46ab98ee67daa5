import { execFileSync } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { TestNode, tiny, yaml } from '../support/node.ts';
import { writeSyntheticAdapter } from '../support/synthetic-adapter.ts';
import { waitFor } from '../support/wait.ts';

const canMount = process.getuid?.() === 0;

describe.skipIf(!canMount)('a full disk (needs root to mount a small tmpfs)', () => {
  let node: TestNode;
  let disk: string;
  beforeAll(async () => {
    disk = await mkdtemp(join(tmpdir(), 'adaptlet-disk-'));
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=6m', 'tmpfs', disk]);
    node = await TestNode.start({
      settings: { 'data-dir': disk, 'import-roots': `${tiny.root},${disk}-roots` },
    });
    await node.write('adapters.yaml', yaml.adapter('upper', 'adapters/upper'));
    await node.write('shout.yaml', yaml.rollout('shout', 'upper', '{setWeight: 50}, {pause: {}}'));
    await waitFor(
      'stable',
      async () => (await node.client.ask({ model: 'shout', prompt: 'moon:' })).text === ' MOON!',
    );
    // About 8 MB of fp32: more than the disk has left.
    await writeSyntheticAdapter(join(`${disk}-roots`, 'big'), join(tiny.root, 'model/config.json'), {
      rank: 200,
    });
  });
  afterAll(async () => {
    await node.dispose();
    execFileSync('umount', [disk]);
    await rm(disk, { recursive: true, force: true });
    await rm(`${disk}-roots`, { recursive: true, force: true });
  });

  it('refuses the adapter that does not fit, and everything else goes on', async () => {
    await node.write('big.yaml', yaml.adapter('big', 'big', '  preload: {tier: Memory}\n'));
    const failed = await waitFor('the failure', async () => {
      const big = (await node.client.status()).adapters.find((a) => a.key === 'default/big');
      return big?.state === 'Failed' && big;
    });
    expect(`${failed.reason} ${failed.message}`).toMatch(/full|space|ENOSPC/i);
    for (let i = 0; i < 20; i++) {
      expect((await node.client.ask({ model: 'shout', prompt: 'moon:', user: `u${i}` })).text).toBe(' MOON!');
    }
  });

  it('leaves room again: a small adapter still comes in', async () => {
    await node.write('small.yaml', yaml.adapter('reverse', 'adapters/reverse'));
    await waitFor(
      'reverse',
      async () => (await node.client.ask({ model: 'reverse', prompt: 'moon:' })).text === ' noom.',
    );
  });
});
