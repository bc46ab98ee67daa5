import { readFile, rename, rm, stat, symlink, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import * as fc from 'fast-check';
import { describe, expect, it, vi } from 'vitest';
import { folderOfTest } from '../../../test/support/temporary-folder.ts';
import type { HeldPlan } from '../../control/held-plan.ts';
import { adapter, at, planOf } from '../../control/plans.fixture.ts';
import { PlanFile } from './plan-file.ts';

/** The adapters a, b, …, each with a priority that says which version it is of. */
const heldOf = (versions: Readonly<Record<string, number>>, revision = 1): HeldPlan => {
  const adapters = Object.entries(versions).map(([name, priority]) => adapter(name, { priority }));
  const plan = [...planOf(...adapters)].toSorted(([a], [b]) => (a < b ? -1 : 1));
  return {
    clusterUid: 'cluster-1',
    revision: at(revision),
    resources: plan.map(([, resource]) => resource),
    removals: [],
  };
};
const many = (count: number, priority = 0): Record<string, number> =>
  Object.fromEntries(Array.from({ length: count }, (_, index) => [`a${index}`, priority]));

const folders = () => {
  const folder = folderOfTest();
  return {
    folder,
    journal: join(folder, 'plan.log'),
    open: (least?: number) => new PlanFile(folder, least),
  };
};
const readOf = async (file: PlanFile) => {
  const read = await file.read();
  if (read.kind !== 'value') throw new Error(read.kind);
  return read.value;
};
const sizeOf = (path: string) =>
  stat(path).then(
    ({ size }) => size,
    () => 0,
  );

describe('the plan on the disk', () => {
  it('writes of a large plan what changed, and reads it as a whole', async () => {
    const disk = folders();
    const file = disk.open();
    await file.write(heldOf(many(400)));
    const before = await readFile(join(disk.folder, 'plan.json'));
    expect(before.length).toBeGreaterThan(16 << 10);
    for (let version = 1; version <= 5; version++)
      await file.write(heldOf({ ...many(400), a7: version }, version));
    expect(await readFile(join(disk.folder, 'plan.json'))).toEqual(before);
    expect(await sizeOf(disk.journal)).toBeLessThan(5 * 2_000);
    const next = disk.open();
    expect(await readOf(next)).toMatchObject({ held: heldOf({ ...many(400), a7: 5 }, 5), problems: [] });
    const { a3: _, ...rest } = many(400);
    await next.write(heldOf({ ...rest, a7: 5, b: 1 }, 6));
    expect(await readFile(join(disk.folder, 'plan.json'))).toEqual(before);
    expect(await readOf(disk.open())).toMatchObject({
      held: heldOf({ ...rest, a7: 5, b: 1 }, 6),
      problems: [],
    });
  });

  it('puts the plan in order once, however many lines its journal has', async () => {
    const disk = folders();
    const file = disk.open(0);
    const plan = (version: number): HeldPlan => heldOf({ ...many(100), a7: version }, version);
    for (let version = 0; version <= 20; version++) await file.write(plan(version));
    expect((await readFile(disk.journal, 'utf8')).split('\n')).toHaveLength(21);
    const sorts = vi.spyOn(Array.prototype, 'toSorted');
    const read = await readOf(disk.open(0));
    const count = sorts.mock.calls.length;
    sorts.mockRestore();
    expect(read).toMatchObject({ held: plan(20), problems: [] });
    expect(count).toBe(1);
  });

  it('has no journal beside a small plan', async () => {
    const disk = folders();
    const file = disk.open();
    for (let version = 1; version <= 3; version++) await file.write(heldOf({ a: version }));
    expect(await sizeOf(disk.journal)).toBe(0);
    expect(await readOf(disk.open())).toMatchObject({ held: heldOf({ a: 3 }) });
  });

  it('begins anew when the journal is as long as the plan', async () => {
    const disk = folders();
    const file = disk.open(0);
    let longest = 0;
    for (let version = 1; version <= 60; version++) {
      await file.write(heldOf({ ...many(10), a1: version }, version));
      longest = Math.max(longest, await sizeOf(disk.journal));
    }
    expect(longest).toBeGreaterThan(0);
    expect(longest).toBeLessThanOrEqual(await sizeOf(join(disk.folder, 'plan.json')));
    expect(await readOf(disk.open())).toMatchObject({ held: heldOf({ ...many(10), a1: 60 }, 60) });
  });

  it('takes no line of a journal that is older than the plan', async () => {
    const disk = folders();
    const file = disk.open(0);
    await file.write(heldOf(many(20)));
    await file.write(heldOf({ ...many(20), a1: 1 }));
    const old = await readFile(disk.journal);
    const next = disk.open(0);
    await next.write(heldOf({ ...many(20), a1: 2 }));
    // The process ended between the two.
    await writeFile(disk.journal, old);
    const last = disk.open(0);
    expect(await readOf(last)).toMatchObject({ held: heldOf({ ...many(20), a1: 2 }), problems: [] });
    await last.write(heldOf({ ...many(20), a1: 3 }));
    expect(await readOf(disk.open(0))).toMatchObject({ held: heldOf({ ...many(20), a1: 3 }), problems: [] });
  });

  it('says what a damaged journal lost, has all before that, and is whole again with the next plan', async () => {
    const disk = folders();
    const file = disk.open(0);
    await file.write(heldOf(many(20)));
    await file.write(heldOf({ ...many(20), a1: 1 }));
    const first = await sizeOf(disk.journal);
    await file.write(heldOf({ ...many(20), a1: 2 }));
    const bytes = await readFile(disk.journal);
    bytes[first + 60] = (bytes[first + 60] ?? 0) ^ 1;
    await writeFile(disk.journal, bytes);
    const next = disk.open(0);
    expect(await readOf(next)).toMatchObject({
      held: heldOf({ ...many(20), a1: 1 }),
      problems: [expect.stringMatching(/^plan\.log: line 2 and all after it are lost: /)],
    });
    await next.write(heldOf({ ...many(20), a1: 3 }));
    expect(await readOf(disk.open(0))).toMatchObject({ held: heldOf({ ...many(20), a1: 3 }), problems: [] });
  });

  it('is an error that says what to do where the journal may not be read, and loses nothing', async () => {
    const disk = folders();
    const file = disk.open(0);
    await file.write(heldOf(many(20)));
    await file.write(heldOf({ ...many(20), a1: 1 }));
    const aside = join(disk.folder, 'aside');
    await rename(disk.journal, aside);
    // Whoever is root may read all files, but no link that leads to itself.
    await symlink('plan.log', disk.journal);
    await expect(disk.open(0).read()).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
      message: expect.stringMatching(
        /plan\.log cannot be read.*Let the process read and write its data folder/s,
      ),
    });
    await rm(disk.journal);
    await rename(aside, disk.journal);
    expect((await readOf(disk.open(0))).held).toEqual(heldOf({ ...many(20), a1: 1 }));
  });

  it('refuses what a full disk does not take, and has the plan before', async () => {
    const disk = folders();
    const file = disk.open(0);
    await file.write(heldOf(many(20)));
    await symlink('/dev/full', disk.journal);
    await expect(file.write(heldOf({ ...many(20), a1: 1 }))).rejects.toMatchObject({ code: 'ENOSPC' });
    await rm(disk.journal);
    expect((await readOf(disk.open(0))).held).toEqual(heldOf(many(20)));
    await file.write(heldOf({ ...many(20), a1: 2 }));
    expect(await readOf(disk.open(0))).toMatchObject({ held: heldOf({ ...many(20), a1: 2 }), problems: [] });
  });
});

/** Adapters and versions of them; which are there is drawn anew for each plan. */
const plans = fc.array(
  fc.dictionary(fc.constantFrom('a', 'b', 'c', 'd', 'e'), fc.integer({ min: 0, max: 9 }), { maxKeys: 5 }),
  { minLength: 1, maxLength: 12 },
);

describe('after any plans, ends of the process and torn lines', () => {
  it('the plan that was written last is read, or the one that was on its way', async () => {
    let journalled = 0;
    await fc.assert(
      fc.asyncProperty(plans, fc.array(fc.nat(), { maxLength: 12 }), async (all, ends) => {
        const disk = folders();
        let file = disk.open(0);
        for (const [index, drawn] of all.entries()) {
          const versions = { ...many(20), ...drawn };
          const before = await sizeOf(disk.journal);
          await file.write(heldOf(versions, index));
          const end = ends[index];
          if (end === undefined) continue;
          const after = await sizeOf(disk.journal);
          if (after > before) journalled++;
          const cut = after > before ? before + (end % (after - before + 1)) : after;
          if (after > 0) await truncate(disk.journal, cut);
          file = disk.open(0);
          const { held, problems } = await readOf(file);
          expect(problems).toEqual([]);
          const isLast = cut === after;
          if (isLast) expect(held).toEqual(heldOf(versions, index));
          else await file.write(heldOf(versions, index));
        }
        expect((await readOf(disk.open(0))).held).toEqual(
          heldOf({ ...many(20), ...all.at(-1) }, all.length - 1),
        );
      }),
      { numRuns: 60 },
    );
    expect(journalled).toBeGreaterThan(20);
  });
});
