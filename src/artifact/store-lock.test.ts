import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { nodeFiles } from '../disk/files.ts';
import { lockFolder } from './store-lock.ts';
import type { StoreDisk } from './store-points.ts';

it('a starter that takes the lock of one who was faster for a stale one gives it back', async () => {
  const root = await mkdtemp(join(tmpdir(), 'adaptlet-lock-'));
  onTestFinished(() => rm(root, { recursive: true }));
  // Nobody listens there, as after a kill.
  await writeFile(join(root, 'lock'), '');
  const reached: string[] = [];
  let faster: AsyncDisposable | undefined;
  const files: StoreDisk = {
    ...nodeFiles,
    rename: async (at, from, to) => {
      reached.push(at);
      if (at === 'lock.set-aside') faster = await lockFolder(root);
      await nodeFiles.rename(at, from, to);
    },
  };
  await expect(lockFolder(root, files)).rejects.toMatchObject({
    code: 'STORE_LOCKED',
    what: `${root} is in use by process ${process.pid}`,
  });
  expect(reached).toEqual(['lock.set-aside', 'lock.give-back']);
  // The one that was faster has it, for all who come.
  await expect(lockFolder(root)).rejects.toMatchObject({ code: 'STORE_LOCKED' });
  expect((await readdir(root)).filter((name) => name === 'lock')).toEqual(['lock']);
  await faster?.[Symbol.asyncDispose]();
  await (await lockFolder(root))[Symbol.asyncDispose]();
});
