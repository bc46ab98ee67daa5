import { readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it, vi } from 'vitest';
import { folderOfTest } from '../../../test/support/temporary-folder.ts';
import { fakeDigest } from '../../api/names.fixture.ts';
import { digestOf } from '../../artifact/digest.ts';
import { DiskBudget } from '../../artifact/disk-budget.ts';
import { CompiledFolder } from './compiled-folder.ts';

it('a compiled file takes the place of left-overs, and of nothing where there is room', async () => {
  const dir = folderOfTest();
  const budget = new DiskBudget(100);
  budget.count(80);
  let drops = 0;
  const makeRoom = async (): Promise<void> => {
    drops += 1;
    budget.count(-60);
  };
  const folder = await CompiledFolder.open({ dir, budget, makeRoom });
  using _small = await folder.reserve(20, digestOf(Buffer.from('a')));
  expect(drops).toBe(0);
  using _large = await folder.reserve(50, digestOf(Buffer.from('b')));
  expect([drops, budget.free]).toEqual([1, 10]);
  await expect(folder.reserve(100, digestOf(Buffer.from('c')))).rejects.toMatchObject({
    code: 'STORE_FULL',
  });
});

const hex = (digit: string): string => digit.repeat(64);

it('tells the bytes of one adapter without a look at the files of all others', async () => {
  const dir = folderOfTest();
  const names = Array.from({ length: 300 }, (_, n) => `${n.toString(16).padStart(64, '0')}-b-v.adaptlet`);
  for (const name of [...names, `${hex('a')}-b-v.adaptlet`, `${hex('a')}-b-w.adaptlet`, 'stray'])
    await writeFile(join(dir, name), '1234');
  const budget = new DiskBudget(1e6);
  const folder = await CompiledFolder.open({ dir, budget });
  expect(budget.used).toBe(4 * 303);
  const looks = vi.spyOn(String.prototype, 'startsWith');
  const told = [folder.bytesOf(fakeDigest('a')), folder.bytesOf(fakeDigest('b'))];
  const count = looks.mock.calls.length;
  looks.mockRestore();
  expect(told).toEqual([8, undefined]);
  expect(count).toBe(0);
  await folder.remove(fakeDigest('a'));
  expect(folder.bytesOf(fakeDigest('a'))).toBeUndefined();
  expect(await folder.removeOrphans((digest) => digest.endsWith('00'))).toBeGreaterThan(290);
  expect(await readdir(dir)).toEqual(names.filter((name) => name.includes('00-')).toSorted());
  expect(budget.used).toBe(4 * (await readdir(dir)).length);
});
