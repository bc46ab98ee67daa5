import { describe, expect, it } from 'vitest';
import { type Digest, objectKey } from '../../api/names.ts';
import { AdaptletError } from '../../errors/adaptlet-error.ts';
import { adapterResource } from '../../plan/resources.fixture.ts';
import { versioned } from '../../plan/resources.ts';
import type { Compiler } from '../compiled/compiled-adapter.ts';
import { noShare } from './accounts.ts';
import { digestOf } from './fake-engine.ts';
import { never, type Shape, settle, type World, type WorldShape, world } from './fake-ports.ts';

const keyOf = (name: string) => objectKey('team', name);
const adapterOf = (name: string, shape: Shape = {}) =>
  versioned(
    adapterResource(keyOf(name), { uid: name, source: { path: { path: name } }, tier: 'None', ...shape }),
  );
const sumOf = (bytes: ReadonlyMap<Digest, number>): number => [...bytes.values()].reduce((a, b) => a + b, 0);

/** A node whose disk has so many bytes. An artifact has 5, its compiled file as many, and that of `big` 40. */
const node = (diskBytes: number, leftovers = { bytes: 0 }, more: WorldShape = {}) => {
  const disk = new Map<Digest, number>();
  const compiled = new Map<Digest, number>();
  const free = (): number => diskBytes - leftovers.bytes - sumOf(disk) - sumOf(compiled);
  const compiler: Compiler = {
    async compile({ digest, bytes, verify, makeRoom }) {
      await verify(never());
      const size = digest === digestOf('big') ? 40 : bytes;
      if (size > bytes) await makeRoom?.(size);
      if (size > free()) throw new AdaptletError('STORE_FULL', `it needs ${size} bytes, ${free()} are free`);
      compiled.set(digest, size);
      return {
        file: `/compiled/${digest}`,
        bytes: size,
        ramBytes: 10,
        rank: 8,
        targetModules: ['q_proj'],
      };
    },
    remove: async (digest) => void compiled.delete(digest),
    bytesOf: (digest) => compiled.get(digest),
  };
  const dropLeftovers = async (): Promise<void> => void (leftovers.bytes = 0);
  const w = world({
    budgetBytes: 1000,
    grants: new Set(),
    disk,
    diskFree: free,
    dropLeftovers,
    compiler,
    ...more,
  });
  for (const name of ['big', 'a0', 'a1', 'a2']) w.digest(name);
  return { ...w, compiled };
};
const use = async (w: World, ...names: readonly string[]): Promise<void> => {
  for (const name of names) {
    using _lease = await w.residency.acquire(keyOf(name), { signal: never() });
    await settle();
  }
};
const askLater = async (w: World): Promise<void> => {
  w.clock.advance(400_000);
  await settle();
  await use(w, 'big');
};
const onDisk = (w: World, names: readonly string[]): readonly string[] =>
  names.filter((name) => w.disk.has(w.digest(name)));

it('compiled files of adapters that come at the same time have their room, each its own', async () => {
  const w = node(25);
  w.residency.apply(['a0', 'a1', 'a2'].map((name) => adapterOf(name)));
  await use(w, 'a0');
  const held = ['a1', 'a2'].map((name) => w.script.hold(`verify ${name}`));
  const both = ['a1', 'a2'].map((name) => w.residency.acquire(keyOf(name), { signal: never() }));
  await settle();
  for (const { resolve } of held) resolve();
  const leases = await Promise.all(both);
  expect(onDisk(w, ['a0', 'a1', 'a2'])).toEqual(['a1', 'a2']);
  for (const lease of leases) lease[Symbol.dispose]();
});

describe('an adapter whose compiled file is far larger than its artifact', () => {
  const names = ['a0', 'a1', 'a2'];
  const plan = [...names, 'big'].map((name) => adapterOf(name));

  it('has others leave for that file, as many as it takes', async () => {
    const w = node(60);
    w.residency.apply(plan);
    await use(w, ...names, 'big');
    expect([onDisk(w, names), w.compiled.get(w.digest('big'))]).toEqual([['a2'], 40]);
    expect(w.script.count('fetch big')).toBe(1);
  });

  it('and that can never fit is refused with the numbers; it is read once, fetched once, and nobody leaves for it', async () => {
    const w = node(30);
    w.residency.apply(plan);
    await expect(use(w, 'big')).rejects.toThrow(/STORE_FULL.* needs 40 bytes of disk.* 40; 25 are free/);
    await expect(askLater(w)).rejects.toThrow('STORE_FULL');
    expect(w.script.count('verify big')).toBe(1);
    await use(w, ...names);
    expect(onDisk(w, [...names, 'big'])).toEqual(names);
    for (let round = 0; round < 3; round++)
      await expect(askLater(w)).rejects.toThrow(/STORE_FULL.* needs 45 bytes of disk.* 40; 0 are free/);
    expect(w.script.count('fetch big')).toBe(1);
    expect(onDisk(w, [...names, 'big'])).toEqual(names);
  });

  const other = objectKey('other', 'a0');
  const theirs = (shape: Shape) =>
    versioned(
      adapterResource(other, { uid: 'other', source: { path: { path: 'a0' } }, tier: 'None', ...shape }),
    );

  it('counts by what it takes: a namespace that has less finds room', async () => {
    const w = node(50);
    w.residency.apply([adapterOf('big'), theirs({})]);
    await use(w, 'big');
    using _lease = await w.residency.acquire(other, { signal: never() });
    expect(onDisk(w, ['a0', 'big'])).toEqual(['a0']);
  });

  it('puts out nothing pinned for what goes beyond a guarantee', async () => {
    const diskShare = (of: string) => ({ ...noShare, guarantee: of === 'team' ? 5 : 0 });
    const w = node(50, { bytes: 0 }, { diskShare });
    w.residency.apply([theirs({ tier: 'Memory', pinned: true }), adapterOf('big')]);
    await settle();
    await expect(use(w, 'big')).rejects.toThrow('STORE_FULL');
    expect(onDisk(w, ['a0'])).toEqual(['a0']);
  });

  const limitedTo = (limit: number) => () => ({ guarantee: 0, limit });

  it('counts in the limit of its namespace, as each compiled file does: its own leave for it', async () => {
    const w = node(1000, { bytes: 0 }, { diskShare: limitedTo(50) });
    w.residency.apply(plan);
    await use(w, 'a0', 'a1');
    expect(w.residency.diskUsedBy('team')).toBe(20);
    await use(w, 'big');
    expect([onDisk(w, [...names, 'big']), w.residency.diskUsedBy('team')]).toEqual([['big'], 45]);
    await use(w, ...names);
    expect([onDisk(w, [...names, 'big']), w.residency.diskUsedBy('team')]).toEqual([names, 30]);
  });

  it('is refused where the limit has no room for both, takes nothing, and is asked of its source and read once', async () => {
    const w = node(1000, { bytes: 0 }, { diskShare: limitedTo(44) });
    w.residency.apply(plan);
    await use(w, 'a0');
    using _lease = await w.residency.acquire(keyOf('a0'), { signal: never() });
    for (let round = 0; round < 3; round++)
      await expect(askLater(w)).rejects.toMatchObject({
        code: 'NAMESPACE_ADAPTER_DISK',
        message: expect.stringContaining('needs 45 bytes of disk; of the 44 bytes'),
      });
    expect([w.script.count('fetch big'), w.script.count('verify big')]).toEqual([1, 1]);
    expect([onDisk(w, [...names, 'big']), w.residency.diskUsedBy('team')]).toEqual([['a0'], 10]);
  });

  it('is kept away by the limit as a guess, too', async () => {
    const prefetch = { downloads: true, hourlyBytes: 1e9 };
    const w = node(1000, { bytes: 0 }, { diskShare: limitedTo(44), prefetch });
    w.residency.apply([adapterOf('big')]);
    w.residency.expect([keyOf('big')]);
    await settle();
    expect([w.script.count('fetch big'), w.disk.size, w.compiled.size]).toEqual([1, 0, 0]);
  });

  it('is not read again for a guess', async () => {
    const w = node(30, { bytes: 0 }, { prefetch: { downloads: true, hourlyBytes: 1e9 } });
    w.residency.apply([adapterOf('big')]);
    for (let round = 0; round < 3; round++) {
      w.residency.expect([keyOf('big')]);
      await settle();
      w.clock.advance(60_000);
    }
    expect([w.script.count('fetch big'), w.script.count('verify big')]).toEqual([1, 1]);
  });

  it('serves once there is room for both', async () => {
    const w = node(50);
    const held = adapterOf('a0', { tier: 'Memory', held: true });
    w.residency.apply([held, adapterOf('big')]);
    await settle();
    await expect(use(w, 'big')).rejects.toThrow('STORE_FULL');
    w.residency.apply([adapterOf('big')]);
    await settle();
    await askLater(w);
    expect(w.compiled.get(w.digest('big'))).toBe(40);
    expect(w.script.count('fetch big')).toBe(1);
  });

  it('counts what left-overs would give way, and has them go', async () => {
    const leftovers = { bytes: 10 };
    const w = node(50, leftovers);
    w.residency.apply(plan);
    await use(w, 'big');
    expect([leftovers.bytes, w.compiled.get(w.digest('big'))]).toEqual([0, 40]);
  });
});
