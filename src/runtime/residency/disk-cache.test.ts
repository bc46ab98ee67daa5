import { describe, expect, it } from 'vitest';
import { type Digest, objectKey } from '../../api/names.ts';
import { AdaptletError } from '../../errors/adaptlet-error.ts';
import { adapterResource } from '../../plan/resources.fixture.ts';
import { versioned } from '../../plan/resources.ts';
import { noShare } from './accounts.ts';
import { never, type Shape, settle, type World, type WorldShape, world } from './fake-ports.ts';

const keyOf = (name: string) => objectKey(`ns-${name.charAt(0)}`, name);
/** An adapter of the namespace that its name begins with; on the disk it has 5 bytes. */
const adapterOf = (name: string, shape: Shape = {}) =>
  versioned(
    adapterResource(keyOf(name), { uid: name, source: { path: { path: name } }, tier: 'None', ...shape }),
  );
/** A node whose disk has room for so many adapters. */
const node = (places: number, shape: WorldShape = {}): World => {
  const disk = shape.disk ?? new Map<Digest, number>();
  return world({
    budgetBytes: 1000,
    grants: new Set(),
    ...shape,
    disk,
    diskFree: () => places * 5 - 5 * disk.size,
  });
};
const use = async (w: World, ...names: readonly string[]): Promise<void> => {
  for (const name of names) {
    using _lease = await w.residency.acquire(keyOf(name), { signal: never() });
    await settle();
  }
};
/** As a request of one user does it. */
const useOf = async (w: World, ...names: readonly string[]): Promise<void> => {
  for (const name of names) {
    w.residency.ensure(adapterOf(name));
    await use(w, name);
  }
};
const onDisk = (w: World, names: readonly string[]): readonly string[] =>
  names.filter((name) => w.disk.has(w.digest(name)));

describe('a disk full of adapters that nobody uses any more', () => {
  const names = ['a0', 'a1', 'a2', 'a3', 'a4'];

  it('has room for the next one that is asked for: the one goes that was used longest ago', async () => {
    const w = node(3);
    w.residency.apply(names.map((name) => adapterOf(name)));
    await use(w, 'a0', 'a1', 'a2', 'a0', 'a3', 'a4');
    expect(onDisk(w, names)).toEqual(['a0', 'a3', 'a4']);
  });

  it('keeps what is in use, pinned, or in the history of a rollout', async () => {
    const w = node(4);
    w.residency.apply([
      adapterOf('a-stable', { tier: 'Memory', held: true }),
      adapterOf('a-former', { tier: 'Disk' }),
      ...names.map((name) => adapterOf(name)),
    ]);
    await settle();
    using _lease = await w.residency.acquire(keyOf('a0'), { signal: never() });
    await use(w, 'a1', 'a2', 'a3');
    expect(onDisk(w, ['a-stable', 'a-former', ...names])).toEqual(['a-stable', 'a-former', 'a0', 'a3']);
  });

  it('lets a flood of one namespace take its own place, and others have theirs', async () => {
    const flood = Array.from({ length: 20 }, (_, n) => `a${n}`);
    const w = node(6);
    w.residency.apply([]);
    await useOf(w, 'b0', 'b1', ...flood);
    expect(onDisk(w, ['b0', 'b1', ...flood])).toEqual(['b0', 'b1', 'a16', 'a17', 'a18', 'a19']);
    await useOf(w, 'b2', 'c0');
    expect(onDisk(w, ['b0', 'b1', 'b2', 'c0', ...flood])).toEqual(['b1', 'b2', 'c0', 'a17', 'a18', 'a19']);
  });

  it('is brought below its high mark in the background, down to the low one', async () => {
    const disk = new Map<Digest, number>();
    const diskMarks = () => ({ usedBytes: 5 * disk.size, highBytes: 20, lowBytes: 10 });
    const w = node(100, { disk, diskMarks });
    w.residency.apply([
      adapterOf('a-stable', { tier: 'Memory', held: true }),
      ...names.map((n) => adapterOf(n)),
    ]);
    await settle();
    await use(w, 'a0', 'a1', 'a2');
    expect(disk.size).toBe(4);
    await use(w, 'a3');
    await settle();
    expect(onDisk(w, ['a-stable', ...names])).toEqual(['a-stable', 'a3']);
  });

  it('makes room for the base model', async () => {
    const w = node(5);
    w.residency.apply(names.map((name) => adapterOf(name)));
    await use(w, ...names);
    await w.residency.freeDisk(12);
    expect(onDisk(w, names)).toEqual(['a3', 'a4']);
  });
});

describe('adapters of single users', () => {
  const users = ['u0', 'u1', 'u2', 'u3'];

  it('stay on the disk when more come than are registered, as many as fit, and need no source again', async () => {
    const w = node(3, { maxDynamic: 1 });
    w.residency.apply([]);
    await useOf(w, 'u0', 'u1', 'u2');
    expect(onDisk(w, users)).toEqual(['u0', 'u1', 'u2']);
    await useOf(w, 'u0');
    expect(w.script.count('fetch u0')).toBe(1);
    await useOf(w, 'u3');
    expect(onDisk(w, users)).toEqual(['u0', 'u2', 'u3']);
    expect(w.residency.diskUsedBy('ns-u')).toBe(15);
    // Of one that left, nothing is remembered.
    expect([...w.resolutions.keys()].toSorted()).toEqual(['u0', 'u2', 'u3']);
  });

  it('that an earlier process left make room, and only once there is a plan', async () => {
    const before = node(3);
    before.residency.apply([]);
    await useOf(before, 'u0', 'u1', 'u2');
    const { disk, resolutions: resolved } = before;
    const grants = new Set(users.map((name) => `ns-u ${before.digest(name)}`));
    const w = node(3, { disk, resolved, grants });
    for (const name of users) w.digest(name);
    await w.residency.freeDisk(100);
    expect(disk.size).toBe(3);
    w.residency.apply([]);
    await useOf(w, 'u3');
    expect(disk.size).toBe(3);
    expect(onDisk(w, ['u3'])).toEqual(['u3']);
    await useOf(w, ...onDisk(w, users));
    expect(w.script.calls.filter((call) => call.startsWith('fetch'))).toEqual(['fetch u3']);
  });

  it('that cannot be removed hold up nobody', async () => {
    const w = node(2, { maxDynamic: 1 });
    w.residency.apply([]);
    await useOf(w, 'u0');
    w.script.fail('uncompile u0', new Error('EIO'), 100);
    await useOf(w, 'u1', 'u2');
    expect(onDisk(w, users)).toEqual(['u0', 'u2']);
  });

  it('count for their namespace: it gets no more than its guarantee and its share', async () => {
    const w = node(4, {
      maxDynamic: 1,
      diskShare: (namespace) => (namespace === 'ns-a' ? { guarantee: 10, limit: Infinity } : noShare),
    });
    w.residency.apply([]);
    await useOf(w, 'a0', 'a1', 'u0', 'u1', 'u2', 'u3');
    expect(onDisk(w, ['a0', 'a1', ...users])).toEqual(['a0', 'a1', 'u2', 'u3']);
  });
});

describe('an artifact that the disk has lost', () => {
  const lost = async (shape: Shape = {}): Promise<World> => {
    const w = node(5);
    w.residency.apply([adapterOf('a0', shape)]);
    await use(w, 'a0');
    w.disk.delete(w.digest('a0'));
    return w;
  };

  it('is fetched again while its adapter serves on from RAM', async () => {
    const w = await lost();
    const arrows = w.arrows.length;
    w.residency.lostOnDisk([w.digest('a0')]);
    using lease = w.residency.tryAcquire(keyOf('a0'));
    expect(lease).toBeDefined();
    expect(w.residency.awaitedOnDisk).toBe(1);
    await settle();
    expect([w.residency.awaitedOnDisk, onDisk(w, ['a0'])]).toEqual([0, ['a0']]);
    expect(w.arrows.length).toBe(arrows);
  });

  it('is tried again when its source is away', async () => {
    const w = await lost();
    w.script.fail('fetch a0', new AdaptletError('REGISTRY_UNAVAILABLE', 'it is away'), 2);
    w.residency.lostOnDisk([w.digest('a0')]);
    await settle();
    expect([w.residency.awaitedOnDisk, w.disk.size]).toEqual([1, 0]);
    w.clock.advance(60_000);
    await settle();
    w.clock.advance(60_000);
    await settle();
    expect([w.residency.awaitedOnDisk, w.disk.size]).toEqual([0, 1]);
  });

  it('is asked of every source that has it before it waits for the next try', async () => {
    const w = node(5);
    w.content.set('b0', 'a0');
    w.residency.apply([adapterOf('a0'), adapterOf('b0')]);
    await use(w, 'a0');
    await use(w, 'b0');
    w.disk.delete(w.digest('a0'));
    const fetched = w.script.count('fetch b0');
    w.script.fail('fetch a0', new AdaptletError('REGISTRY_DENIED', 'no more'), 9);
    w.residency.lostOnDisk([w.digest('a0')]);
    await settle();
    expect([w.residency.awaitedOnDisk, w.disk.size]).toEqual([0, 1]);
    expect(w.script.count('fetch b0')).toBe(fetched + 1);
  });

  it('holds up no other one where its source goes silent', async () => {
    const w = await lost();
    w.residency.apply([adapterOf('a0'), adapterOf('b0')]);
    await use(w, 'b0');
    w.disk.delete(w.digest('b0'));
    w.script.hold('fetch a0');
    w.residency.lostOnDisk([w.digest('a0'), w.digest('b0')]);
    await settle();
    expect(onDisk(w, ['a0', 'b0'])).toEqual([]);
    for (let minute = 0; minute < 3; minute++) {
      w.clock.advance(60_000);
      await settle();
    }
    expect([w.residency.awaitedOnDisk, onDisk(w, ['a0', 'b0'])]).toEqual([0, ['a0', 'b0']]);
  });

  it('and that nobody has any more is not fetched', async () => {
    const w = await lost();
    w.residency.apply([]);
    await settle();
    w.residency.lostOnDisk([w.digest('a0')]);
    await settle();
    expect([w.residency.awaitedOnDisk, w.disk.size, w.script.count('fetch a0')]).toEqual([0, 0, 1]);
  });
});
