import { expect, it } from 'vitest';
import { objectKey } from '../../api/names.ts';
import { AdaptletError } from '../../errors/adaptlet-error.ts';
import { adapterResource } from '../../plan/resources.fixture.ts';
import { versioned } from '../../plan/resources.ts';
import { adapter, key, never, settle, stateOf, type World, type WorldShape, world } from './fake-ports.ts';

const node = (shape: WorldShape = {}): World =>
  world({ prefetch: { downloads: true, hourlyBytes: 1_000 }, ...shape });
const use = async (w: World, ...names: readonly string[]): Promise<void> => {
  for (const name of names) {
    (await w.residency.acquire(key(name), { signal: never() }))[Symbol.dispose]();
    await settle();
  }
};
const expectNext = async (w: World, ...names: readonly string[]): Promise<void> => {
  w.residency.expect(names.map((name) => key(name)));
  await settle();
};
const states = (w: World, ...names: readonly string[]) => names.map((name) => stateOf(w, name));

it('a guess that its namespace has no room for is not made again and again', async () => {
  let asked = 0;
  const w = node({
    memoryShare: () => ({ guarantee: 0, limit: 10 }),
    // A loop that never rests would keep the test itself from going on.
    admit: () => ((asked += 1) > 50 ? new Promise(() => {}) : Promise.resolve(undefined)),
  });
  w.residency.apply([adapter('a'), adapter('b')]);
  await use(w, 'a', 'b');
  expect(states(w, 'a', 'b')).toEqual(['Compiled', 'Resident']);
  expect(asked).toBeLessThan(10);
});

it('what memory pressure has freed is not filled by guesses', async () => {
  const w = node({ budgetBytes: 100 });
  w.residency.apply(['a', 'b', 'c'].map((name) => adapter(name)));
  await use(w, 'a', 'b', 'c');
  w.residency.limitMemory(0);
  await settle();
  expect(w.residency.usage().usedBytes).toBe(0);
  w.residency.limitMemory(50);
  await use(w, 'c');
  await expectNext(w, 'a', 'b');
  expect(states(w, 'a', 'b', 'c')).toEqual(['Compiled', 'Compiled', 'Resident']);
  w.residency.limitMemory(100);
  await expectNext(w, 'a');
  expect(stateOf(w, 'a')).toBe('Resident');
});

it('a guess during which the engine ended is not tried again at once', async () => {
  const w = node({ budgetBytes: 20, sizes: { big: 20 } });
  w.residency.apply([adapter('a'), adapter('big')]);
  await use(w, 'a', 'big');
  await w.residency.evict(key('big'), never());
  const load = w.script.hold('load a');
  await expectNext(w, 'a');
  expect(w.script.count('load a')).toBe(2);
  w.engine.restart();
  load.resolve();
  await settle();
  await settle();
  expect([stateOf(w, 'a'), w.script.count('load a')]).toEqual(['Compiled', 2]);
  await use(w, 'a');
  expect(stateOf(w, 'a')).toBe('Resident');
});

it('what is put out by hand while it is brought nearer on a guess stays out', async () => {
  const w = node();
  const a = adapter('a', { digest: w.digest('a') });
  w.residency.apply([a]);
  await use(w, 'a');
  w.residency.apply([]);
  await settle();
  w.residency.apply([a]);
  const compile = w.script.hold('compile a');
  await expectNext(w, 'a');
  expect(stateOf(w, 'a')).toBe('Stored');
  await w.residency.evict(key('a'), never());
  compile.resolve();
  await settle();
  expect([stateOf(w, 'a'), w.script.count('load a')]).toEqual(['Compiled', 1]);
});

it('what is pinned, and would never leave again, is not brought into RAM on a guess', async () => {
  const w = node({ budgetBytes: 20, sizes: { big: 20 } });
  w.residency.apply([adapter('a'), adapter('b'), adapter('big')]);
  await use(w, 'a', 'b', 'big');
  w.residency.pin(key('a'), true);
  await w.residency.evict(key('big'), never());
  await expectNext(w, 'a', 'b');
  expect(states(w, 'a', 'b')).toEqual(['Compiled', 'Resident']);
});

const other = (name: string) =>
  versioned(
    adapterResource(objectKey('other', name), { uid: `uid-${name}`, source: { path: { path: name } } }),
  );

it('a guess gives way to a request of another namespace, whatever is guaranteed to its own', async () => {
  const w = node({
    budgetBytes: 20,
    sizes: { big: 20 },
    memoryShare: (namespace) => ({ guarantee: namespace === 'team' ? 20 : 0, limit: Infinity }),
  });
  w.residency.apply([adapter('a'), adapter('b'), adapter('big'), other('x')]);
  await use(w, 'a', 'b', 'big');
  await w.residency.evict(key('big'), never());
  await expectNext(w, 'a', 'b');
  expect(states(w, 'a', 'b')).toEqual(['Resident', 'Resident']);
  using lease = await w.residency.acquire(objectKey('other', 'x'), { signal: never() });
  expect(lease.name).toBe('x');
  expect(w.residency.memoryUse().sparableBytes).toBe(10);
});

it('a damaged artifact is not downloaded again for a guess where guesses may not download', async () => {
  const w = node({ prefetch: { downloads: false, hourlyBytes: 1_000 } });
  const a = adapter('a', { digest: w.digest('a'), source: { oci: { image: 'a' } } });
  w.disk.set(w.digest('a'), 5);
  w.residency.apply([a]);
  w.script.fail('compile a', new AdaptletError('ARTIFACT_CORRUPT', 'it rotted'));
  await expectNext(w, 'a');
  expect([w.script.count('compile a'), w.script.count('fetch a'), stateOf(w, 'a')]).toEqual([1, 0, 'Remote']);
});

it('folders of this node take nothing of the bytes that guesses may download', async () => {
  const w = node({ prefetch: { downloads: true, hourlyBytes: 5 } });
  w.residency.apply([adapter('copied'), adapter('a', { source: { oci: { image: 'a' } } })]);
  await expectNext(w, 'copied', 'a');
  expect(states(w, 'copied', 'a')).toEqual(['Compiled', 'Compiled']);
});
