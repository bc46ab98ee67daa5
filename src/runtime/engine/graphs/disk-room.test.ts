import { expect, it } from 'vitest';
import { refuseBeyondBudget, refuseWithoutRoom } from './disk-room.ts';

const mebibyte = 2 ** 20;

/** Of 1,000 MiB, so many are free. */
const disk = (free: number) => () => ({ bavail: free, blocks: 1_000, bsize: mebibyte });

it('a tenth of a disk stays free', () => {
  expect(() => refuseWithoutRoom('/data', 200 * mebibyte, disk(300))).not.toThrow();
  expect(() => refuseWithoutRoom('/data', 200 * mebibyte + 1, disk(300))).toThrow(
    '201 MiB do not fit the disk of /data, which has room for 200 MiB: a tenth of it is left free',
  );
  expect(() => refuseWithoutRoom('/data', 1, disk(50))).toThrow(
    '1 MiB do not fit the disk of /data, which has room for 0 MiB',
  );
});

it('the disk of a folder is asked', () => {
  expect(() => refuseWithoutRoom('/', Number.MAX_SAFE_INTEGER)).toThrow('do not fit the disk of /');
});

it('a budget is not passed, and may be used up', () => {
  expect(() => refuseBeyondBudget(mebibyte, mebibyte)).not.toThrow();
  expect(() => refuseBeyondBudget(mebibyte + 1, mebibyte)).toThrow(
    '2 MiB do not fit the disk budget of this runtime, which has room for 1 MiB',
  );
  expect(() => refuseBeyondBudget(1, -5 * mebibyte)).toThrow('which has room for 0 MiB');
});
