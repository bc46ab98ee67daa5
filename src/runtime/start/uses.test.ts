import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { silentLog } from '../../telemetry/log.fixture.ts';
import { FakeClock } from '../../time/fake-clock.ts';
import { DiskUses } from '../residency/disk-uses.ts';
import { settle } from '../residency/fake-ports.ts';
import { memoryOf, recall } from '../state/memory.ts';
import { rememberUses } from './uses.ts';

let dataDir: string;
beforeEach(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'adaptlet-uses-'));
});
afterEach(() => rm(dataDir, { recursive: true, force: true }));

const file = () => join(dataDir, 'state/uses.json');

/** A process of the node, and the values that it wrote. */
const start = async (clock = new FakeClock()) => {
  const memory = memoryOf(dataDir);
  const problems: unknown[] = [];
  const remembered = await recall(memory, { error: (problem: unknown) => void problems.push(problem) });
  const diskUses = new DiskUses('hit-density', remembered.uses);
  const writes: Promise<void>[] = [];
  const uses = {
    write: (value: Parameters<typeof memory.uses.write>[0]) => {
      const writing = memory.uses.write(value);
      writes.push(writing);
      return writing;
    },
  };
  const stack = new AsyncDisposableStack();
  const warnings: unknown[] = [];
  const logger = { ...silentLog, warn: (...args: unknown[]) => void warnings.push(args) };
  rememberUses({ clock, logger: logger as never }, { memory: { uses: uses as never } }, { diskUses }, stack);
  const use = (...names: readonly string[]) => {
    for (const name of names) diskUses.used(name);
  };
  const known = () =>
    ['a', 'b', 'c']
      .filter((name) => diskUses.lastUse(name) > 0)
      .toSorted((x, y) => diskUses.lastUse(x) - diskUses.lastUse(y));
  return { clock, diskUses, use, known, writes, warnings, problems, stack };
};

it('an orderly end writes them down, and the next process goes on with them', async () => {
  const before = await start();
  before.use('a', 'b', 'c', 'b', 'a');
  await before.stack.disposeAsync();
  const after = await start();
  expect(after.known()).toEqual(['c', 'b', 'a']);
  expect(after.diskUses.remembered()).toEqual(before.diskUses.remembered());
});

it('a process that is killed has written them at most ten minutes before, once in that time, and not without a use', async () => {
  const node = await start();
  for (let minute = 0; minute < 30; minute += 1) {
    node.use('a', 'b');
    node.clock.advance(60_000);
    await Promise.all(node.writes);
    await settle();
  }
  expect(node.writes.length).toBe(3);
  node.clock.advance(24 * 3_600_000);
  expect(node.writes.length).toBe(3);
  node.use('c');
  node.clock.advance(600_000);
  await Promise.all(node.writes);
  expect((await start()).known()).toEqual(['a', 'b', 'c']);
});

it.each([
  ['1970', 0],
  ['ten years ahead', 2_000_000_000_000],
])('a clock that says %s, before or after, changes nothing', async (_, wall) => {
  for (const [first, second] of [
    [wall, undefined],
    [undefined, wall],
  ]) {
    const before = await start();
    if (first !== undefined) before.clock.set(first);
    before.use('a', 'b', 'a');
    before.clock.advance(600_000);
    await Promise.all(before.writes);
    expect(before.writes.length).toBe(1);
    const clock = new FakeClock();
    if (second !== undefined) clock.set(second);
    const after = await start(clock);
    expect(after.known()).toEqual(['b', 'a']);
    await rm(file());
  }
});

it.each([
  ['torn', (text: string) => text.slice(0, text.length / 2)],
  ['empty', () => ''],
  ['of other content', (text: string) => text.replace('names', 'nemas')],
])('a file that is %s is set aside: the node starts with nothing', async (_, damage) => {
  const before = await start();
  before.use('a', 'b');
  await before.stack.disposeAsync();
  await writeFile(file(), damage(await readFile(file(), 'utf8')));
  const after = await start();
  expect([after.known(), after.problems.length]).toEqual([[], 1]);
  expect((await readdir(join(dataDir, 'state'))).toSorted()).toEqual(['uses.json.bad']);
});

it('a disk that refuses costs nothing but the order', async () => {
  await writeFile(join(dataDir, 'state'), 'in the way');
  const memory = memoryOf(dataDir);
  const diskUses = new DiskUses('lru');
  const warnings: unknown[] = [];
  const logger = { ...silentLog, warn: (...args: unknown[]) => void warnings.push(args) };
  const stack = new AsyncDisposableStack();
  rememberUses({ clock: new FakeClock(), logger: logger as never }, { memory }, { diskUses }, stack);
  diskUses.used('a');
  await stack.disposeAsync();
  expect(warnings.length).toBe(1);
});
