import { describe, expect, it } from 'vitest';
import { type Digest, objectKey } from '../../api/names.ts';
import { AdaptletError } from '../../errors/adaptlet-error.ts';
import { adapterResource } from '../../plan/resources.fixture.ts';
import { versioned } from '../../plan/resources.ts';
import { type MemoryShare, noShare } from './accounts.ts';
import { never, type Shape, settle, type World, type WorldShape, world } from './fake-ports.ts';

const keyOf = (name: string) => objectKey(`ns-${name.charAt(0)}`, name);
/** An adapter of the namespace that its name begins with; on the disk it has 5 bytes. */
const adapterOf = (name: string, shape: Shape = {}) =>
  versioned(
    adapterResource(keyOf(name), { uid: name, source: { path: { path: name } }, tier: 'None', ...shape }),
  );
const limitedTo =
  (limit: number) =>
  (namespace: string): MemoryShare =>
    namespace === 'ns-a' ? { guarantee: 0, limit } : noShare;

const start = (names: readonly string[], shape: WorldShape): World => {
  const w = world({ budgetBytes: 1000, ...shape });
  w.residency.apply(names.map((name) => adapterOf(name)));
  return w;
};
const use = async (w: World, ...names: readonly string[]): Promise<void> => {
  for (const name of names) {
    using _lease = await w.residency.acquire(keyOf(name), { signal: never() });
  }
  await settle();
};
const onDisk = (w: World, names: readonly string[]): readonly string[] =>
  names.filter((name) => w.disk.has(w.digest(name)));
const names = ['a0', 'a1', 'a2', 'a3'];

describe('a namespace at its limit of disk', () => {
  it('loses its own that was used longest ago, from RAM as well, and what others have stays', async () => {
    const w = start([...names, 'b0'], { diskShare: limitedTo(15) });
    await use(w, 'b0', 'a0', 'a1', 'a2', 'a0', 'a3');
    expect(onDisk(w, [...names, 'b0'])).toEqual(['a0', 'a2', 'a3', 'b0']);
    expect(w.residency.state(keyOf('a1'))?.kind).toBe('Remote');
    expect(w.residency.diskUsedBy('ns-a')).toBe(15);
    await use(w, 'a1');
    expect(onDisk(w, names)).toEqual(['a0', 'a1', 'a3']);
  });

  it('is refused with its own error, the numbers and a time, while what it has is in use or pinned', async () => {
    const w = start(names, { diskShare: limitedTo(10) });
    using _lease = await w.residency.acquire(keyOf('a0'), { signal: never() });
    await use(w, 'a1');
    w.residency.pin(keyOf('a1'), true);
    const refused = w.residency.acquire(keyOf('a2'), { signal: never() });
    await expect(refused).rejects.toMatchObject({
      code: 'NAMESPACE_ADAPTER_DISK',
      httpStatus: 429,
      retryAfterMs: 30_000,
      message: expect.stringContaining(
        'needs 5 bytes of disk; of the 10 bytes that namespace ns-a may have here it has 10',
      ),
    });
    expect(w.residency.view(keyOf('a2'))).toMatchObject({
      state: 'Remote',
      message: expect.stringContaining('10 bytes'),
    });
    w.residency.pin(keyOf('a1'), false);
    await use(w, 'a2');
    expect(onDisk(w, names)).toEqual(['a0', 'a2']);
  });

  it('is told that it will not fit at all without a time to come back', async () => {
    const w = start(names, { diskShare: limitedTo(4) });
    const error = await w.residency.acquire(keyOf('a0'), { signal: never() }).catch((e: unknown) => e);
    expect(error).toMatchObject({ code: 'NAMESPACE_ADAPTER_DISK' });
    expect(error).not.toHaveProperty('retryAfterMs', expect.any(Number));
  });

  it('keeps what is there rather than take in what nobody waits for, and asks its source no more', async () => {
    const w = world({ diskShare: limitedTo(10) });
    w.residency.apply(names.map((name) => adapterOf(name, { tier: 'Disk' })));
    await settle();
    const first = onDisk(w, names);
    expect(first).toHaveLength(2);
    const tries = (): number => w.arrows.filter(({ to }) => to === 'Fetching').length;
    const before = tries();
    w.clock.advance(30_000);
    await settle();
    expect(onDisk(w, names)).toEqual(first);
    expect([before, tries()]).toEqual([4, 4]);
  });

  it('that becomes less loses what is idle once the plan is in force, and it comes back when it is more', async () => {
    const share = { guarantee: 0, limit: Infinity };
    const w = start(names, { diskShare: () => share });
    await use(w, 'a0', 'a1', 'a2');
    share.limit = 10;
    w.residency.apply(names.map((name) => adapterOf(name)));
    await settle();
    expect(onDisk(w, names)).toEqual(['a1', 'a2']);
    share.limit = 20;
    await use(w, 'a0', 'a3');
    expect(onDisk(w, names)).toEqual(names);
  });

  it('keeps stable and the version before, and older ones longer than what is there for requests alone', async () => {
    const w = world({ budgetBytes: 1000, diskShare: limitedTo(20) });
    const plan = [
      adapterOf('a-stable', { tier: 'Memory', held: true }),
      adapterOf('a-former', { tier: 'Disk' }),
      adapterOf('a-older', { tier: 'Disk' }),
      ...names.map((name) => adapterOf(name)),
    ];
    w.residency.apply(plan, undefined, new Set([keyOf('a-former')]));
    const versions = ['a-stable', 'a-former', 'a-older'];
    await settle();
    expect(onDisk(w, versions)).toEqual(versions);
    for (const name of ['a0', 'a1', 'a2']) await use(w, name);
    expect(onDisk(w, [...versions, ...names])).toEqual([...versions, 'a2']);
    using _lease = await w.residency.acquire(keyOf('a2'), { signal: never() });
    await use(w, 'a3');
    expect(onDisk(w, [...versions, ...names])).toEqual(['a-stable', 'a-former', 'a2', 'a3']);
    using _other = await w.residency.acquire(keyOf('a3'), { signal: never() });
    await expect(w.residency.acquire(keyOf('a0'), { signal: never() })).rejects.toMatchObject({
      code: 'NAMESPACE_ADAPTER_DISK',
    });
    expect(onDisk(w, versions)).toEqual(['a-stable', 'a-former']);
  });

  it('counts what was on the disk before this process began', async () => {
    const before = start(names, {});
    await use(before, ...names);
    const { disk, resolutions: resolved } = before;
    const w = world({ disk, resolved, diskShare: limitedTo(10) });
    for (const name of names) w.digest(name);
    w.residency.apply(names.map((name) => adapterOf(name, { tier: 'Disk' })));
    await settle();
    expect(onDisk(w, names)).toHaveLength(2);
    expect(w.residency.diskUsedBy('ns-a')).toBe(10);
  });
});

/** The adapter `b0` with the source and the content of `a0`. */
const twin = { source: { path: { path: 'a0' } } };

describe('an artifact that two namespaces have', () => {
  it('stays for one when the other has no room for it any more', async () => {
    const w = start(['a0', 'a1', 'b0'], { diskShare: limitedTo(5) });
    w.content.set('b0', 'a0');
    await use(w, 'a0', 'b0', 'a1');
    expect(w.residency.diskUsedBy('ns-a')).toBe(5);
    expect(w.residency.diskUsedBy('ns-b')).toBe(5);
    expect(onDisk(w, ['a0', 'a1'])).toEqual(['a0', 'a1']);
    await use(w, 'a0');
    expect(onDisk(w, ['a0', 'a1'])).toEqual(['a0']);
  });
});

it('what is guaranteed to a namespace gets room on a full disk from who has more than that, and stays', async () => {
  const budget = 20;
  const shape: WorldShape = {
    diskShare: (namespace) => (namespace === 'ns-a' ? { guarantee: 10, limit: Infinity } : noShare),
  };
  const disk = new Map<Digest, number>();
  const diskFree = (): number => budget - [...disk.values()].reduce((sum, bytes) => sum + bytes, 0);
  const flood = ['b0', 'b1', 'b2', 'b3'];
  const w = start([...flood, ...names], { ...shape, disk, diskFree });
  await use(w, ...flood, 'a0', 'a1');
  expect(onDisk(w, [...flood, ...names])).toEqual(['b2', 'b3', 'a0', 'a1']);
  // For more than that those leave of whoever has more beyond what is guaranteed to it.
  await use(w, 'a2');
  expect(onDisk(w, [...flood, ...names])).toEqual(['b3', 'a0', 'a1', 'a2']);
  await use(w, 'a3');
  expect(onDisk(w, [...flood, ...names])).toEqual(['b3', 'a1', 'a2', 'a3']);
});

/** Adapters come to a full disk of `c0`, `c1`, … before the first one is there; resolves with what is on the disk then. */
const allComeTo = async (
  full: readonly string[],
  coming: readonly string[],
  reserved?: Map<Digest, number>,
): Promise<readonly string[]> => {
  const disk = new Map<Digest, number>();
  const bytesOf = (held: ReadonlyMap<Digest, number> = new Map()): number =>
    [...held.values()].reduce((sum, bytes) => sum + bytes, 0);
  const w = world({
    budgetBytes: 1000,
    diskShare: (namespace) => (namespace === 'ns-c' ? noShare : { guarantee: 10, limit: Infinity }),
    disk,
    diskFree: () => full.length * 5 - bytesOf(disk) - bytesOf(reserved),
    ...(reserved === undefined ? {} : { reserved }),
  });
  const others = [...full, 'a0', 'a1'].map((name) => adapterOf(name));
  w.residency.apply([...others, adapterOf('b0', twin)]);
  await use(w, ...full);
  const held = [1, 2].flatMap(() => [w.script.hold('fetch a0'), w.script.hold('fetch a1')]);
  const uses: Promise<void>[] = [];
  for (const name of coming) {
    uses.push(use(w, name));
    await settle();
  }
  for (const one of held) one.resolve();
  await Promise.all(uses);
  return onDisk(w, [...full, 'a0', 'a1']);
};

describe('two that come to a full disk at the same time', () => {
  const full = ['c0', 'c1', 'c2', 'c3'];

  it('do not both count the same free bytes', async () => {
    expect(await allComeTo(full, ['a0', 'a1'])).toEqual(['c2', 'c3', 'a0', 'a1']);
  });

  it('put nothing out for what the store has set aside already', async () => {
    expect(await allComeTo(full, ['a0', 'a1'], new Map())).toEqual(['c2', 'c3', 'a0', 'a1']);
  });

  it('make room once for one artifact that both bring', async () => {
    for (const reserved of [undefined, new Map<Digest, number>()]) {
      expect(await allComeTo(full, ['a0', 'b0'], reserved)).toEqual(['c1', 'c2', 'c3', 'a0']);
    }
  });

  it('make room once for one artifact that both bring beside another one', async () => {
    for (const reserved of [undefined, new Map<Digest, number>()]) {
      expect(await allComeTo(full, ['a0', 'b0', 'a1'], reserved)).toEqual(['c2', 'c3', 'a0', 'a1']);
    }
  });
});

describe('an artifact of which another adapter only names the digest', () => {
  const at = (namesIt: Shape = {}): World => {
    const grants = new Set<string>();
    const w = world({ budgetBytes: 1000, diskShare: limitedTo(5), grants });
    const named = adapterOf('b0', { ...twin, digest: w.digest('a0'), ...namesIt });
    w.residency.apply([adapterOf('a0'), adapterOf('a1'), named]);
    return w;
  };

  it('leaves the disk with the last one that has it', async () => {
    const w = at();
    await use(w, 'a0');
    await use(w, 'a1');
    expect(onDisk(w, names)).toEqual(['a1']);
  });

  it('leaves the disk also where that one failed', async () => {
    const w = world({ budgetBytes: 1000, grants: new Set() });
    const named = adapterOf('b0', { ...twin, digest: w.digest('a0'), tier: 'Disk' });
    w.residency.apply([adapterOf('a0')]);
    await use(w, 'a0');
    w.script.fail('fetch a0', new AdaptletError('REGISTRY_DENIED', 'it forbids access'));
    w.residency.apply([adapterOf('a0'), named]);
    await settle();
    expect(w.residency.state(keyOf('b0'))?.kind).toBe('Failed');
    w.residency.apply([named]);
    await settle();
    expect(onDisk(w, names)).toEqual([]);
  });

  it('stays compiled for one that has it in RAM while its files are set aside', async () => {
    const w = at();
    await use(w, 'a0', 'b0');
    w.disk.delete(w.digest('a0'));
    w.residency.apply([adapterOf('b0', { ...twin, digest: w.digest('a0') })]);
    await settle();
    expect(w.residency.state(keyOf('b0'))?.kind).toBe('Resident');
    expect(w.script.count('uncompile a0')).toBe(0);
  });

  it('is brought again for one that was on its way while it left', async () => {
    const w = at();
    await use(w, 'a0');
    const fetch = w.script.hold('fetch a0');
    const removal = w.script.hold('remove a0');
    const coming = use(w, 'b0');
    await settle();
    const other = use(w, 'a1');
    await settle();
    fetch.resolve();
    await settle();
    removal.resolve();
    await Promise.all([coming, other]);
    expect(w.residency.state(keyOf('b0'))?.kind).toBe('Resident');
    expect(onDisk(w, names)).toEqual(['a0', 'a1']);
    expect([w.script.count('remove a0'), w.script.count('fetch a0')]).toEqual([1, 3]);
  });
});

it('an artifact that is removed for the last other one while an adapter waits for its room is fetched', async () => {
  const w = world({ budgetBytes: 1000, diskShare: limitedTo(10), grants: new Set() });
  const own = names.map((name) => adapterOf(name));
  w.residency.apply([...own, adapterOf('b0', twin)]);
  await use(w, 'b0');
  for (const name of ['a0', 'a1', 'a2']) await use(w, name);
  expect(onDisk(w, names)).toEqual(['a0', 'a1', 'a2']);
  const turn = w.script.hold('remove a1');
  const removal = w.script.hold('remove a0');
  const fetches = w.script.count('fetch a0');
  const both = Promise.all([use(w, 'a3'), use(w, 'a0')]);
  await settle();
  w.residency.apply(own);
  await settle();
  turn.resolve();
  await settle();
  removal.resolve();
  await both;
  expect(onDisk(w, names)).toEqual(['a0', 'a3']);
  expect(w.script.count('fetch a0') - fetches).toBe(1);
});

describe('a failed adapter whose artifact left for others and stayed for another namespace', () => {
  const failed = async (): Promise<World> => {
    const w = world({ budgetBytes: 1000, diskShare: limitedTo(5), grants: new Set() });
    w.residency.apply([adapterOf('a0'), adapterOf('a1'), adapterOf('b0', twin)]);
    await use(w, 'b0');
    w.script.fail('load a0', new AdaptletError('COMPILE_STALLED', 'it took too long'));
    await use(w, 'a0').catch(() => undefined);
    expect(w.residency.state(keyOf('a0'))?.kind).toBe('Failed');
    await use(w, 'a1');
    expect(onDisk(w, names)).toEqual(['a0', 'a1']);
    w.clock.advance(60_000);
    await settle();
    return w;
  };

  it('does not come back beyond the limit', async () => {
    const w = await failed();
    w.residency.pin(keyOf('a1'), true);
    await expect(use(w, 'a0')).rejects.toMatchObject({ code: 'NAMESPACE_ADAPTER_DISK' });
    expect(w.residency.diskUsedBy('ns-a')).toBe(5);
  });

  it('counts once it is back, and keeps its files when the other is removed', async () => {
    const w = await failed();
    const fetches = w.script.count('fetch a0');
    await use(w, 'a0');
    expect(w.residency.diskUsedBy('ns-a')).toBe(5);
    w.residency.apply([adapterOf('a0'), adapterOf('a1')]);
    await settle();
    expect(onDisk(w, names)).toEqual(['a0']);
    expect([w.script.count('remove a0'), w.script.count('fetch a0') - fetches]).toEqual([0, 0]);
  });
});

it('a fetch that was given up while it waited for its turn makes no room and holds none', async () => {
  const w = world({ budgetBytes: 1000, diskShare: limitedTo(10), grants: new Set(), fetchStallMs: 1_000 });
  const before = [...['a0', 'a1', 'a2'].map((name) => adapterOf(name)), adapterOf('b0', twin)];
  w.residency.apply(before);
  for (const name of ['b0', 'a0', 'a1', 'a2']) await use(w, name);
  const removal = w.script.hold('remove a1');
  const back = use(w, 'a0');
  await settle();
  w.residency.apply([...before, adapterOf('a3', { held: true })]);
  await settle();
  w.clock.advance(1_000);
  await settle();
  expect(w.residency.view(keyOf('a3'))).toMatchObject({ state: 'Failed', reason: 'FETCH_STALLED' });
  removal.resolve();
  await back;
  expect(onDisk(w, names)).toEqual(['a0', 'a2']);
  expect(w.residency.diskUsedBy('ns-a')).toBe(10);
});

it('a fetch that got its turn late has its whole time again', async () => {
  const w = start(names, { diskShare: limitedTo(10), fetchStallMs: 1_000 });
  await use(w, 'a0', 'a1');
  const removal = w.script.hold('remove a0');
  const first = use(w, 'a2').catch(() => undefined);
  await settle();
  w.clock.advance(600);
  const next = w.script.hold('remove a1');
  const second = use(w, 'a3');
  await settle();
  w.clock.advance(300);
  removal.resolve();
  await settle();
  w.clock.advance(900);
  next.resolve();
  await Promise.all([first, second]);
  expect(w.residency.state(keyOf('a3'))?.kind).toBe('Resident');
});
