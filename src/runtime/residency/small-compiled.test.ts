import { expect, it } from 'vitest';
import { type Digest, objectKey } from '../../api/names.ts';
import { AdaptletError } from '../../errors/adaptlet-error.ts';
import { adapterResource } from '../../plan/resources.fixture.ts';
import { versioned } from '../../plan/resources.ts';
import type { Compiler } from '../compiled/compiled-adapter.ts';
import { never, type Shape, settle, type World, type WorldShape, world } from './fake-ports.ts';

const keyOf = (name: string) => objectKey('team', name);
const adapterOf = (name: string, shape: Shape = {}) =>
  versioned(
    adapterResource(keyOf(name), { uid: name, source: { path: { path: name } }, tier: 'None', ...shape }),
  );
const sumOf = (bytes: ReadonlyMap<Digest, number>): number => [...bytes.values()].reduce((a, b) => a + b, 0);

/** An artifact has 5 bytes, and its compiled file `size`; while that is made it has its room. */
const node = (size: number, { diskBytes = 1000, ...shape }: WorldShape & { diskBytes?: number } = {}) => {
  const { disk = new Map<Digest, number>() } = shape;
  const compiled = new Map<Digest, number>();
  /** Their compiled files are of another engine. */
  const stale = new Set<Digest>();
  let setAside = 0;
  const free = (): number => diskBytes - sumOf(disk) - sumOf(compiled) - setAside;
  const compiler: Compiler = {
    async compile({ digest, bytes, verify, onReserved, makeRoom }) {
      if (stale.delete(digest)) compiled.delete(digest);
      if (!compiled.has(digest)) {
        await makeRoom?.(bytes);
        if (bytes > free()) throw new AdaptletError('STORE_FULL', `it needs ${bytes}, ${free()} are free`);
        setAside += bytes;
        onReserved?.();
        await verify(never()).finally(() => {
          setAside -= bytes;
        });
        compiled.set(digest, size);
      }
      const file = `/compiled/${digest}`;
      return { file, bytes: size, ramBytes: 10, rank: 8, targetModules: ['q_proj'] };
    },
    remove: async (digest) => void compiled.delete(digest),
    bytesOf: (digest) => compiled.get(digest),
  };
  return {
    ...world({ budgetBytes: 1000, grants: new Set(), disk, diskFree: free, compiler, ...shape }),
    compiled,
    stale,
  };
};
const use = async (w: World, ...names: readonly string[]): Promise<void> => {
  for (const name of names) {
    using _lease = await w.residency.acquire(keyOf(name), { signal: never() });
    await settle();
  }
};
const onDisk = (w: World, names: readonly string[]): readonly string[] =>
  names.filter((name) => w.disk.has(w.digest(name)));

it('an adapter whose compiled file is small comes back beside others that have room with it', async () => {
  const w = node(1, { diskShare: () => ({ guarantee: 0, limit: 13 }) });
  w.residency.apply(['a', 'b'].map((name) => adapterOf(name)));
  await use(w, 'a', 'b', 'a', 'b', 'a', 'b');
  expect([w.script.count('fetch a'), w.script.count('fetch b')]).toEqual([2, 1]);
  expect(w.residency.diskUsedBy('team')).toBe(12);
});

it('and needs no more of a full disk than that', async () => {
  const w = node(1, { diskBytes: 18 });
  w.residency.apply(['a', 'b', 'c'].map((name) => adapterOf(name)));
  await use(w, 'a', 'b', 'c', 'a');
  const fetches = w.script.count('fetch a');
  await use(w, 'b', 'c', 'a');
  expect([fetches, onDisk(w, ['a', 'b', 'c'])]).toEqual([2, ['a', 'b', 'c']]);
});

/** The source of `s1`. */
const twin = adapterOf('s2', { source: { path: { path: 's1' } } });

/** `s1` is on its way with `s2`, which has the same content, when `n` comes. */
const beside = async (coming: readonly string[]): Promise<readonly string[]> => {
  const w = node(5, { diskBytes: 30, maxParallelLoads: 4 });
  w.residency.apply([...['old', 's1', 'n'].map((name) => adapterOf(name)), twin]);
  await use(w, 'old');
  const held = w.script.hold('verify s1');
  const uses = coming.map((name) => use(w, name));
  for (let turn = 0; turn < 5; turn++) await settle();
  await use(w, 'n');
  held.resolve();
  await Promise.all(uses);
  return onDisk(w, ['old', 's1', 'n']);
};

it('room for a compiled file that two adapters with one content bring is counted once', async () => {
  expect(await beside(['s1'])).toEqual(['old', 's1', 'n']);
  expect(await beside(['s1', 's2'])).toEqual(['old', 's1', 'n']);
});

it('what could not be fetched has no room for its compiled file while it waits for its next turn', async () => {
  const w = node(5, { diskBytes: 30, maxParallelFetches: 1 });
  const names = ['old', 'slow', 'lost', 'n'];
  const remote = (name: string) => adapterOf(name, { source: { oci: { image: name } } });
  for (const name of names) w.digest(name);
  w.residency.apply([adapterOf('old'), adapterOf('n'), remote('slow'), remote('lost')]);
  await use(w, 'old');
  w.script.fail('fetch lost', new AdaptletError('FETCH_STALLED', 'no answer'));
  await expect(use(w, 'lost')).rejects.toThrow('FETCH_STALLED');
  const held = w.script.hold('fetch slow');
  w.clock.advance(400_000);
  const others = [use(w, 'slow'), use(w, 'lost')];
  await settle();
  await use(w, 'n');
  expect([onDisk(w, names), w.script.count('fetch lost')]).toEqual([['old', 'n'], 1]);
  held.resolve();
  await Promise.all(others);
});

it('what a namespace has of an artifact does not leave for another of its adapters that needs the same', async () => {
  const w = node(5, { diskShare: () => ({ guarantee: 0, limit: 19 }) });
  w.residency.apply([adapterOf('s1'), twin, adapterOf('busy')]);
  await use(w, 's1');
  w.compiled.delete(w.digest('s1'));
  using _lease = await w.residency.acquire(keyOf('busy'), { signal: never() });
  expect(w.residency.diskUsedBy('team')).toBe(15);
  await expect(use(w, 's2')).rejects.toMatchObject({ code: 'NAMESPACE_ADAPTER_DISK' });
  expect(w.residency.state(keyOf('s1'))?.kind).toBe('Resident');
  expect(w.residency.diskUsedBy('team')).toBe(15);
});

it('a compiled file that cannot be used has room made for the one that is made instead', async () => {
  const disk = new Map<Digest, number>();
  const plan = ['a', 'b'].map((name) => adapterOf(name));
  const before = node(1, { disk });
  before.residency.apply(plan);
  await use(before, 'a');
  const digest = before.digest('a');
  const w = node(5, {
    disk,
    diskShare: () => ({ guarantee: 0, limit: 17 }),
    resolved: before.resolutions,
    grants: new Set([`team ${digest}`]),
  });
  w.digest('a');
  w.compiled.set(digest, 1);
  w.stale.add(digest);
  w.residency.apply(plan);
  await use(w, 'b');
  expect(w.residency.diskUsedBy('team')).toBe(16);
  await use(w, 'a');
  expect([w.compiled.get(digest), w.residency.diskUsedBy('team')]).toEqual([5, 10]);
});

it('an archive leaves as soon as it is unpacked beyond the limit of its namespace, also while there is no engine', async () => {
  const w = node(1, { diskShare: () => ({ guarantee: 0, limit: 25 }), unpacked: { zip: 20 } });
  w.engine.become('down');
  w.residency.apply(['a', 'zip'].map((name) => adapterOf(name, { tier: 'Disk' })));
  await settle();
  expect(onDisk(w, ['a', 'zip'])).toEqual(['a']);
  expect(w.residency.diskUsedBy('team')).toBeLessThanOrEqual(25);
});
