import { execFileSync } from 'node:child_process';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { TestNode, yaml } from '../support/node.ts';
import { folderOfTests } from '../support/temporary-folder.ts';
import { unmount } from '../support/unmount.ts';
import { waitFor } from '../support/wait.ts';

const canMount = process.getuid?.() === 0;

describe.skipIf(!canMount)('a disk that becomes read-only (needs root to mount a small tmpfs)', () => {
  let node: TestNode;
  const disk = folderOfTests();
  const remount = (mode: 'ro' | 'rw') => execFileSync('mount', ['-o', `remount,${mode}`, disk]);
  const ask = (model: string) => node.client.ask({ model, prompt: 'moon:' });

  beforeAll(async () => {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=16m', 'tmpfs', disk]);
    node = await TestNode.start({ settings: { 'data-dir': disk } });
    await node.write('adapters.yaml', yaml.adapter('upper', 'adapters/upper'));
    await waitFor('upper', async () => (await ask('upper')).text === ' MOON!');
  });
  afterAll(async () => {
    await node.dispose();
    await unmount(disk);
  });

  it('keeps what is in RAM in service and says why nothing new comes in', async () => {
    remount('ro');
    await node.write('more.yaml', yaml.adapter('reverse', 'adapters/reverse'));
    const refused = await waitFor('the refusal', () =>
      ask('reverse').then(
        () => false as const,
        (error: unknown) => (error as Error).message.includes('STORE_UNUSABLE') && error,
      ),
    );
    expect(refused).toMatchObject({ code: 'ADAPTER_NOT_AVAILABLE' });
    expect((await ask('upper')).text).toBe(' MOON!');
  });

  it('lets it in once it can be written again, without anybody', async () => {
    remount('rw');
    await waitFor('reverse', async () => (await ask('reverse')).text === ' noom.');
  });
});
