import { execFileSync } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { TestNode, tiny, yaml } from '../support/node.ts';
import { writeSyntheticAdapter } from '../support/synthetic-adapter.ts';
import { unmount } from '../support/unmount.ts';
import { waitFor } from '../support/wait.ts';

const canMount = process.getuid?.() === 0;

// The node itself needs 0.1 MB, the big adapter 2.1 MB as an artifact and as much again compiled.
describe.skipIf(!canMount).each([
  ['when an artifact is stored', '1500k'],
  ['when an adapter is compiled', '3500k'],
])('a disk that is full %s (needs root to mount a small tmpfs)', (_, size) => {
  let node: TestNode;
  let disk: string;
  let roots: string;
  beforeAll(async () => {
    disk = await mkdtemp(join(tmpdir(), 'adaptlet-disk-'));
    roots = await mkdtemp(join(tmpdir(), 'adaptlet-roots-'));
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${size}`, 'tmpfs', disk]);
    node = await TestNode.start({ settings: { 'data-dir': disk, 'import-roots': `${tiny.root},${roots}` } });
    await node.write('adapters.yaml', yaml.adapter('upper', 'adapters/upper'));
    await node.write('shout.yaml', yaml.rollout('shout', 'upper', '{setWeight: 50}, {pause: {}}'));
    await waitFor('stable', async () => (await ask()).text === ' MOON!');
    await writeSyntheticAdapter(join(roots, 'big'), join(tiny.root, 'model/config.json'), { rank: 256 });
  });
  afterAll(async () => {
    await node.dispose();
    await unmount(disk);
    for (const folder of [disk, roots]) await rm(folder, { recursive: true, force: true });
  });
  const ask = (model = 'shout', user = 'u') => node.client.ask({ model, prompt: 'moon:', user });

  it('refuses the adapter that does not fit, says so, and everything else goes on', async () => {
    await node.write('big.yaml', yaml.adapter('big', 'big', '  preload: {tier: Memory}\n'));
    const failed = await waitFor('the failure', async () => {
      const big = (await node.client.status()).adapters.find((a) => a.key === 'default/big');
      return big?.state === 'Failed' && big;
    });
    expect(`${failed.reason} ${failed.message}`).toMatch(/full|space|ENOSPC/i);
    for (let i = 0; i < 20; i++) expect((await ask('shout', `u${i}`)).text).toBe(' MOON!');
  });

  it('lets a small adapter come in all the same', async () => {
    await node.remove('big.yaml');
    await node.write('small.yaml', yaml.adapter('reverse', 'adapters/reverse'));
    await waitFor('reverse', async () => (await ask('reverse')).text === ' noom.');
  });

  it('comes back after a restart on the same disk', async () => {
    const { folder } = node;
    await node.end('SIGKILL');
    node = await TestNode.start({
      folder,
      settings: { 'data-dir': disk, 'import-roots': `${tiny.root},${roots}` },
    });
    await waitFor('stable', async () => (await ask()).text === ' MOON!');
  });
});
