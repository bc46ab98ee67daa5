import { afterAll } from 'vitest';
import { type DiskThread, startDiskThread } from './disk-thread.ts';

/** For the tests of a file or a `describe`; closed after them. */
export const diskOfTests = (): DiskThread => {
  const disk = startDiskThread();
  afterAll(() => disk[Symbol.asyncDispose]());
  return disk;
};
