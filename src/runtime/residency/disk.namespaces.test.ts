import { describe, expect, it } from 'vitest';
import { type Digest, objectKey } from '../../api/names.ts';
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
  // For more than that nobody leaves; the store says that it is full.
  await use(w, 'a2');
  expect(diskFree()).toBeLessThan(0);
  expect(onDisk(w, flood)).toEqual(['b2', 'b3']);
});
