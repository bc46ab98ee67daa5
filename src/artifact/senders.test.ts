import { readdir, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeEach, expect, it } from 'vitest';
import { folderOfTest } from '../../test/support/temporary-folder.ts';
import { fakeDigest } from '../api/names.fixture.ts';
import type { Digest } from '../api/names.ts';
import { BlobSenders } from './senders.ts';

const mebibyte = 1024 * 1024;
const [one, two] = [fakeDigest('1'), fakeDigest('2')];
const large = { digest: one, size: 2 * mebibyte };

let root: string;
let here: Set<Digest>;
beforeEach(() => {
  root = folderOfTest();
  here = new Set([one, two]);
});

const open = (now = Date.now()): Promise<BlobSenders> => {
  const bytesHere = (blobs: readonly { readonly digest: Digest }[]): number =>
    blobs.filter(({ digest }) => here.has(digest)).length;
  return BlobSenders.open(root, { bytesHere }, now);
};
const files = (): Promise<string[]> => readdir(join(root, 'senders'));

it('what began or sent a large blob is known to the next process, and what a small one is not', async () => {
  const first = await open();
  await first.begin(large, 'a');
  await first.sent({ digest: two, size: 10 }, 'a');
  const second = await open();
  expect([second.hasBegun(one, 'a'), second.hasBegun(one, 'b'), second.hasSent(one, 'a')]).toEqual([
    true,
    false,
    false,
  ]);
  expect([second.knows(two), second.hasSent(two, 'a')]).toEqual([false, false]);
  await second.sent(large, 'a');
  const third = await open();
  expect([third.hasBegun(one, 'a'), third.hasSent(one, 'a')]).toEqual([false, true]);
  await third.forget(one, 'a');
  expect([third.knows(one), await files()]).toEqual([false, []]);
});

it('a blob that another source begins is not said to be of the first one, whatever size that said', async () => {
  for (const size of [large.size, 10]) {
    const senders = await open();
    await senders.begin(large, 'a');
    await senders.begin({ digest: one, size }, 'b');
    const after = await open();
    expect(after.hasBegun(one, 'a')).toBe(false);
  }
});

it('what is not here, was begun long ago or is damaged is forgotten', async () => {
  const senders = await open();
  for (const digest of [one, two]) await senders.begin({ ...large, digest }, 'a');
  here.delete(two);
  expect((await open()).knows(two)).toBe(false);
  const [name = ''] = await files();
  await utimes(join(root, 'senders', name), new Date('2026-01-01'), new Date('2026-01-01'));
  // A clock that begins in 1970 forgets nothing.
  expect((await open(0)).knows(one)).toBe(true);
  expect((await open(Date.parse('2026-01-16'))).knows(one)).toBe(false);
  await (await open()).begin(large, 'a');
  await writeFile(join(root, 'senders', name), '{}');
  expect([(await open()).knows(one), await files()]).toEqual([false, []]);
});
