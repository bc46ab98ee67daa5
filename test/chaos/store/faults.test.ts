import { existsSync, rmSync, writeFileSync } from 'node:fs';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { storePoints } from '../../../src/artifact/store-points.ts';
import { AdaptletError } from '../../../src/errors/adaptlet-error.ts';
import { errnoOf } from '../../../src/errors/errno.ts';
import { compiledPoints } from '../../../src/runtime/compiled/compiled-folder.ts';
import { artifacts, names } from './artifacts.ts';
import { copyPast } from './copy-past.ts';
import { day, type Promised } from './day.ts';
import { canHappen, type Fault, FaultyDisk, faults, Killed } from './faulty-disk.ts';
import { keyOf, makePast, never, type Shape, SmallNode } from './node.ts';
import { bytesOnDisk, expectKept, expectSound, expectWorks } from './sound.ts';

/** Nobody gets there alone: two starters have to meet within microseconds. The test of the lock reaches it, by a hand in between. */
const unreached: ReadonlySet<string> = new Set(['lock.give-back']);

/** A start that dies there dies there again: without these there is no store. */
const unavoidable =
  /^(open|scan|unfinished|former)\.|^(caution\.(read|write)|lock\.(open-root|listen|link|set-aside)|quarantine\.(list|stat)|grants\.(look|list|read|.*-new|fsync-root)|compiled\.(mkdir|list|stat)|senders\.(mkdir|list|stat|read)|bundles\.(mkdir|list))$/;

/** What else it takes to get there. */
const waysTo = (
  point: string,
): { readonly shape: Shape; readonly alsoFails?: string; readonly past: Past } => {
  const isFormer = /^(former|grants\..*-(new|root)$)/.test(point);
  const shape: Shape = isFormer
    ? { former: [{ uid: 'uid-ram', digest: artifacts.ram.digest }] }
    : { keepsUnfinished: point.startsWith('unfinished.') };
  const [what] = point.split('.');
  const past = isFormer ? 'without grants' : point.endsWith('-stray') ? 'died tidying up' : 'usual';
  if (point === 'lock.drop-own') return { shape, past, alsoFails: 'lock.link' };
  const alsoFails = /^(former|grant|compile|adapter|sender|bundle)\.drop$/.test(point)
    ? { alsoFails: `${what}.rename` }
    : {};
  return { shape, past, ...alsoFails };
};
type Past = 'usual' | 'without grants' | 'died tidying up';

let root: string;
const pasts: Record<Past, string> = { usual: '', 'without grants': '', 'died tidying up': '' };
let runs = 0;

beforeAll(async () => {
  root = await mkdtemp(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'adaptlet-faults-'));
  for (const past of Object.keys(pasts) as Past[]) {
    pasts[past] = join(root, past.replaceAll(' ', '-'));
    await makePast(pasts[past], new FaultyDisk(await folder()));
  }
  await rm(join(pasts['without grants'], 'store/grants'), { recursive: true });
  writeFileSync(join(pasts['died tidying up'], 'store/doing'), 'a test');
});
afterAll(() => rm(root, { recursive: true, force: true }));

const folder = async (): Promise<string> => {
  runs += 1;
  const path = join(root, String(runs));
  await mkdir(path);
  return path;
};

const copyOf = async (past: Past): Promise<string> => {
  const path = join(await folder(), 'data');
  copyPast(pasts[past], path);
  return path;
};

/** What is said to people has a code; anything else is a defect. */
const refuseDefects = (error: unknown): void => {
  if (!(error instanceof AdaptletError) && errnoOf(error) === undefined) throw error;
};

type Start = { readonly data: string; readonly disk: FaultyDisk; readonly shape: Shape };

/** Undefined: it died, or could not be opened. */
const start = async ({ data, disk, shape }: Start): Promise<SmallNode | undefined> => {
  try {
    return await SmallNode.open(data, disk, shape);
  } catch (error) {
    if (!disk.dead) refuseDefects(error);
    return undefined;
  }
};

/** One day of a node; what is in RAM serves all the time. `arm`: called once it does. */
const live = async (node: SmallNode, data: string, arm = (): void => undefined): Promise<Promised> => {
  const { disk, residency } = node;
  const promised: Promised = new Map();
  disk.linkless = new RegExp(`${artifacts.copied.digest.slice(7)}/files/`);
  node.apply(names);
  const ram = await residency.acquire(keyOf('ram'), { signal: never }).catch(refuseDefectsUnlessDead(disk));
  arm();
  for (const [what, step] of day) {
    if (disk.dead) break;
    await step(node, promised, data).catch(refuseDefectsUnlessDead(disk));
    if (ram === undefined) continue;
    using lease = residency.tryAcquire(keyOf('ram'));
    expect(lease?.engineName, `after "${what}" the adapter in RAM`).toBe(ram.engineName);
    expect(node.engine.loaded.has(ram.engineName)).toBe(true);
  }
  ram?.[Symbol.dispose]();
  return promised;
};

const refuseDefectsUnlessDead =
  (disk: FaultyDisk) =>
  (error: unknown): undefined => {
    if (!disk.dead && !(error instanceof Killed)) refuseDefects(error);
  };

const end = async (node: SmallNode | undefined, disk: FaultyDisk): Promise<void> => {
  await node?.residency.close();
  await disk.end();
};

/** Where a node gets to when it starts, and in its day. */
const reachedBy = async (point: string) => {
  const { shape, alsoFails, past } = waysTo(point);
  const data = await copyOf(past);
  const disk = new FaultyDisk(await folder());
  disk.alsoFails = alsoFails;
  const node = await start({ data, disk, shape });
  const atStart = new Set(disk.reached);
  if (node !== undefined) {
    await live(node, data);
    await node.close();
  }
  return { atStart, inAll: new Set(disk.reached) };
};

const isMadeToLast = (fault: Fault): boolean => fault !== 'flipped' && fault !== 'removed-folder';

/** The node with a fault: it lives on, or it starts again; then it is sound, and everything works. */
const survive = async (point: string, fault: Fault, isAtStart: boolean): Promise<void> => {
  const { shape, alsoFails, past } = waysTo(point);
  const data = await copyOf(past);
  const disk = new FaultyDisk(await folder());
  const arm = (): void => {
    disk.armed = { point, fault };
    disk.alsoFails = alsoFails;
  };
  if (isAtStart) arm();
  const node = await start({ data, disk, shape });
  let promised: Promised = new Map();
  if (node !== undefined) {
    disk.onClockJump = () => {
      node.clock.set(0);
      node.clock.advance(10 * 365 * 86_400_000);
    };
    promised = await live(node, data, isAtStart ? undefined : arm);
  }
  if (node !== undefined && !disk.dead && !disk.struck)
    await node.close().catch(refuseDefectsUnlessDead(disk));
  expect(disk.struck, 'the place was reached').toBe(true);
  if (node !== undefined && !disk.dead) {
    disk.repair();
    await expectSound(node, data);
    await expectWorks(node);
    promised.delete('gone');
  }
  await end(node, disk);
  if (fault.startsWith('power-cut')) disk.losePower(data);
  if (fault === 'kill-for-ever') await startAgainAndAgain(point, { data, shape });

  const healthy = new FaultyDisk(await folder());
  const again = await SmallNode.open(data, healthy, shape);
  const counted = (): void =>
    expect(again.store.usage.usedBytes, 'what the budget counts').toBe(bytesOnDisk(data));
  counted();
  if (isMadeToLast(fault)) await expectKept(again, promised);
  await expectSound(again, data);
  await expectWorks(again);
  counted();
  await again.close();
  rmSync(join(data, '..'), { recursive: true, force: true });
};

/** Every start dies there: every other one opens the store all the same, where it can do without. */
const startAgainAndAgain = async (point: string, { data, shape }: Omit<Start, 'disk'>): Promise<void> => {
  const opened: boolean[] = [];
  for (let i = 0; i < 3; i++) {
    const disk = new FaultyDisk(await folder());
    disk.armed = { point, fault: 'kill-for-ever' };
    const node = await start({ data, disk, shape });
    opened.push(node !== undefined && !disk.dead);
    await end(node, disk);
  }
  if (unavoidable.test(point)) return;
  for (const [index, isOpen] of opened.slice(1).entries())
    expect(isOpen || opened[index], `starts that opened the store: ${opened.join()}`).toBe(true);
};

it('a store survives every fault at every place where it touches the disk, and what is in RAM serves on', async () => {
  const failures: string[] = [];
  const counts = new Map<Fault, number>();
  const points = [...storePoints, ...compiledPoints].filter((point) => !unreached.has(point));
  const usual = await reachedBy('blob.rename');
  const combinations: { point: string; fault: Fault; isAtStart: boolean }[] = [];
  for (const point of points) {
    const isUsual = usual.inAll.has(point);
    const { atStart, inAll } = isUsual ? usual : await reachedBy(point);
    if (!inAll.has(point)) failures.push(`${point} was not reached`);
    else
      for (const fault of faults)
        if (canHappen(fault, point)) combinations.push({ point, fault, isAtStart: atStart.has(point) });
  }
  const queue = combinations.values();
  const lane = async (): Promise<void> => {
    for (const { point, fault, isAtStart } of queue) {
      counts.set(fault, (counts.get(fault) ?? 0) + 1);
      try {
        await survive(point, fault, isAtStart);
      } catch (error) {
        failures.push(`${point} ${fault}: ${error instanceof Error ? error.message : String(error)}`);
      }
    }
  };
  // Each has a node and a folder of its own, and half of its time is waiting for the disk.
  await Promise.all(Array.from({ length: 3 }, lane));
  const each = [...counts].map(([fault, count]) => `${fault} ${count}`).join(', ');
  process.stdout.write(`${points.length} places, ${combinations.length} faults: ${each}\n`);
  expect(failures).toEqual([]);
  expect(combinations.length).toBeGreaterThan(1_000);
  // A minute or two; much else may run beside it.
}, 600_000);
