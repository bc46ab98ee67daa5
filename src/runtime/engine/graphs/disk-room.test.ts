import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { folderOfTest } from '../../../../test/support/temporary-folder.ts';
import { diskRoom, missingBytes, refuseWithoutRoom } from './disk-room.ts';

const mebibyte = 2 ** 20;
const folder = '/data';
const plenty = { folder, budgetBytes: Infinity, diskBytes: Infinity };
const written = (bytes: number, keptBytes = bytes) => ({ bytes, keptBytes });

it('a budget has room for what is not in the folder yet, and of a disk a tenth stays free', async () => {
  const data = folderOfTest();
  mkdirSync(join(data, 'prepared'));
  writeFileSync(join(data, 'prepared/constants.bin'), 'x'.repeat(30));
  const size = { bavail: 300, blocks: 1_000, bsize: mebibyte };
  expect(await diskRoom(data, 100, () => size)).toEqual({
    folder: data,
    budgetBytes: 70,
    diskBytes: 200 * mebibyte,
  });
});

it('the disk of a folder is asked', async () => {
  const { diskBytes } = await diskRoom(folderOfTest(), Infinity);
  expect(diskBytes).toBeLessThan(Number.MAX_SAFE_INTEGER);
});

it('what is written at a time has to fit the disk, and may use it up', () => {
  const room = { ...plenty, diskBytes: 200 * mebibyte };
  expect(missingBytes(written(200 * mebibyte), room)).toBe(0);
  expect(() => refuseWithoutRoom(written(200 * mebibyte), room)).not.toThrow();
  const more = written(200 * mebibyte + 1, 0);
  expect(missingBytes(more, room)).toBe(1);
  expect(() => refuseWithoutRoom(more, room)).toThrow(
    '201 MiB do not fit the disk of /data, which has room for 200 MiB: a tenth of it is left free',
  );
  expect(() => refuseWithoutRoom(written(1), { ...plenty, diskBytes: -1 })).toThrow('has room for 0 MiB');
});

it('what stays has to fit the budget, and may use it up', () => {
  const room = { ...plenty, budgetBytes: mebibyte };
  expect(missingBytes(written(2 * mebibyte, mebibyte), room)).toBe(0);
  expect(() => refuseWithoutRoom(written(2 * mebibyte, mebibyte), room)).not.toThrow();
  expect(missingBytes(written(mebibyte + 1), room)).toBe(1);
  expect(() => refuseWithoutRoom(written(mebibyte + 1), room)).toThrow(
    '2 MiB do not fit the disk budget of this runtime, which has room for 1 MiB',
  );
});
