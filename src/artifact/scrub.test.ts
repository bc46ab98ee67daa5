import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeEach, expect, it } from 'vitest';
import { folderOfTest } from '../../test/support/temporary-folder.ts';
import { nodeFiles } from '../disk/files.ts';
import { filesArtifact, writer } from './artifact.fixture.ts';
import { digestOf, hexOf } from './digest.ts';
import { diskOfTests } from './disk-thread.fixture.ts';
import { startDiskThread } from './disk-thread.ts';
import { hashFile } from './disk-worker.ts';
import { ContentStore } from './store.ts';
import type { StoreDisk } from './store-points.ts';

const never = new AbortController().signal;
const weights = (letter: string): string => letter.repeat(3_000);
const artifactWith = (letter: string) =>
  filesArtifact({ 'adapter_config.json': '{}', 'adapter_model.safetensors': weights(letter) });
const [one, two] = [artifactWith('1'), artifactWith('2')];

const disk = diskOfTests();
let root: string;
beforeEach(() => {
  root = folderOfTest();
});

const open = (files: StoreDisk = nodeFiles) => ContentStore.open({ root, budgetBytes: 100_000, disk, files });

const rot = async (letter: string): Promise<void> => {
  const hex = hexOf(digestOf(Buffer.from(weights(letter))));
  const path = join(root, 'blobs/sha256', hex.slice(0, 2), hex);
  const bytes = await readFile(path);
  bytes[0] = 0;
  await writeFile(path, bytes);
};

it('a slow check holds up nobody: artifacts come and go while a blob is being read', async () => {
  await using store = await open();
  await store.add(one.manifest, writer(one), never);
  const begun = Promise.withResolvers<void>();
  const reading = Promise.withResolvers<void>();
  const reader = {
    hash: async (path: string, signal: AbortSignal) => {
      begun.resolve();
      await reading.promise;
      return await disk.hash(path, signal);
    },
  };
  const scrubbing = store.scrub(never, { reader });
  await begun.promise;
  await store.add(two.manifest, writer(two), never);
  await store.remove(two.digest);
  reading.resolve();
  expect(await scrubbing).toEqual([]);
});

it('what it finds is said at once, counted, and can come again', async () => {
  await using store = await open();
  for (const artifact of [one, two]) await store.add(artifact.manifest, writer(artifact), never);
  await rot('1');
  const heard: string[] = [];
  await store.scrub(never, { reader: disk, onDamage: ({ digest }) => heard.push(digest) });
  expect([heard, store.damaged, store.list()]).toEqual([[one.digest], 1, [two.digest]]);
  await store.add(one.manifest, writer(one), never);
  await store.verify(one.digest, never);
});

it('a blob that cannot be set aside keeps none of the others from being checked, and is used for nothing', async () => {
  let isBroken = true;
  const files: StoreDisk = {
    ...nodeFiles,
    rename: (at, from, to) =>
      isBroken && at === 'quarantine.rename'
        ? Promise.reject(Object.assign(new Error('EIO'), { code: 'EIO' }))
        : nodeFiles.rename(at, from, to),
  };
  await using store = await open(files);
  for (const artifact of [one, two]) await store.add(artifact.manifest, writer(artifact), never);
  await rot('1');
  await rot('2');
  await expect(store.scrub(never)).rejects.toMatchObject({ code: 'STORE_UNUSABLE' });
  expect(store.list()).toEqual([]);
  isBroken = false;
  await store.add(one.manifest, writer(one), never);
  await store.verify(one.digest, never);
});

it('reads no more bytes a second than it may, in pieces of a second at most', async () => {
  const path = join(root, 'file');
  await writeFile(path, 'x'.repeat(2_500));
  const pauses: number[] = [];
  const { size } = hashFile({ path, bytesPerSecond: 1_000 }, (ms) => pauses.push(ms));
  expect([size, pauses]).toEqual([2_500, [1_000, 1_000, 500]]);
});

it('a start that cannot look at one blob takes that for damage; one that cannot open files deletes nothing', async () => {
  {
    await using store = await open();
    await store.add(one.manifest, writer(one), never);
  }
  const failing = (code: string): StoreDisk => ({
    ...nodeFiles,
    readFile: (at, path) =>
      at === 'scan.read-manifest'
        ? Promise.reject(Object.assign(new Error(code), { code }))
        : nodeFiles.readFile(at, path),
  });
  await expect(open(failing('EMFILE'))).rejects.toMatchObject({ code: 'EMFILE' });
  {
    await using store = await open();
    expect(store.list()).toEqual([one.digest]);
  }
  await using store = await open(failing('EIO'));
  expect(store.damage.map(({ digest }) => digest)).toEqual([one.digest]);
});

it('work on the disk tells whom it is for that it goes on, and nobody else', async () => {
  const path = join(root, 'slow');
  await writeFile(path, 'x'.repeat(1_500));
  await using slow = startDiskThread({ bytesPerSecond: 1_000 });
  const [mine, other] = [new AbortController().signal, new AbortController().signal];
  const heard: string[] = [];
  using _mine = slow.heard(mine, () => heard.push('mine'));
  using _other = slow.heard(other, () => heard.push('other'));
  await slow.hash(path, mine);
  expect(new Set(heard)).toEqual(new Set(['mine']));
});
