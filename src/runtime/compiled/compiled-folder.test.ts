import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { digestOf } from '../../artifact/digest.ts';
import { DiskBudget } from '../../artifact/disk-budget.ts';
import { CompiledFolder } from './compiled-folder.ts';

it('a compiled file takes the place of left-overs, and of nothing where there is room', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'adaptlet-compiled-'));
  try {
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
  } finally {
    await rm(dir, { recursive: true });
  }
});
