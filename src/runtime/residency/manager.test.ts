import { expect, it } from 'vitest';
import { AdaptletError } from '../../errors/adaptlet-error.ts';
import { adapter, key, never, settle, stateOf, world } from './fake-ports.ts';

it('an adapter without a tier stays remote until a request asks for it', async () => {
  const w = world();
  w.residency.apply([adapter('a')]);
  await settle();
  expect(w.script.calls).toEqual([]);
  expect(w.residency.tryAcquire(key('a'))).toBeUndefined();
  using lease = await w.residency.acquire(key('a'), { signal: never() });
  expect(lease).toMatchObject({ key: 'team/a', name: 'a', digest: w.digest('a') });
  expect(lease.engineName).toBe(`team/a--${w.digest('a').slice(7, 19)}`);
  expect(w.arrows.map((t) => `${t.from}>${t.to}`)).toEqual([
    'Remote>Fetching',
    'Fetching>Stored',
    'Stored>Compiled',
    'Compiled>Loaded',
    'Loaded>Resident',
  ]);
  expect(w.arrows.map((t) => t.cause)).toEqual(['FetchStarted', 'Fetched', 'Built', 'Loaded', 'Passed']);
  expect(w.residency.serves(key('a'), w.digest('a'))).toBe(true);
  expect(w.residency.serves(key('a'), w.digest('b'))).toBe(false);
});

it('tier Disk brings an adapter to the compiled form, tier Memory and a hold of a rollout into RAM', async () => {
  const w = world();
  w.residency.apply([
    adapter('disk', { tier: 'Disk' }),
    adapter('memory', { tier: 'Memory' }),
    adapter('held', { held: true }),
  ]);
  await settle();
  expect([stateOf(w, 'disk'), stateOf(w, 'memory'), stateOf(w, 'held')]).toEqual([
    'Compiled',
    'Resident',
    'Resident',
  ]);
});

it('two requests for one adapter share one load', async () => {
  const w = world();
  w.residency.apply([adapter('a')]);
  const held = w.script.hold('fetch a');
  const both = Promise.all([1, 2].map(() => w.residency.acquire(key('a'), { signal: never() })));
  await settle();
  held.resolve();
  await both;
  expect(w.script.count('fetch a')).toBe(1);
  expect(w.script.count('load a')).toBe(1);
  expect(w.residency.facts()[0]?.references).toBe(2);
});

it('a request that is cancelled while it waits gets its own reason, and the others still get the adapter', async () => {
  const w = world();
  w.residency.apply([adapter('a')]);
  const held = w.script.hold('fetch a');
  const deadline = new AbortController();
  const late = w.residency.acquire(key('a'), { signal: deadline.signal });
  const patient = w.residency.acquire(key('a'), { signal: never() });
  const outcome = expect(late).rejects.toMatchObject({ code: 'DEADLINE_EXCEEDED' });
  await settle();
  deadline.abort(new AdaptletError('DEADLINE_EXCEEDED', 'too late'));
  await outcome;
  held.resolve();
  using lease = await patient;
  expect(lease.name).toBe('a');
  expect(w.residency.usage().waiting).toBe(0);
});

it('a caller that leaves without a reason of ours counts as cancelled', async () => {
  const w = world();
  w.residency.apply([adapter('a')]);
  const gone = AbortSignal.abort();
  await expect(w.residency.acquire(key('a'), { signal: gone })).rejects.toMatchObject({
    code: 'REQUEST_CANCELLED',
  });
});

it('a name that the runtime does not have is not found', async () => {
  const w = world();
  await expect(w.residency.acquire(key('nobody'), { signal: never() })).rejects.toMatchObject({
    code: 'MODEL_NOT_FOUND',
  });
  await expect(w.residency.evict(key('nobody'), never())).rejects.toMatchObject({ code: 'MODEL_NOT_FOUND' });
  expect(() => w.residency.pin(key('nobody'), true)).toThrow('no adapter');
});

it('a request bound to another digest is refused, before and after the first fetch', async () => {
  const w = world();
  w.residency.apply([adapter('a')]);
  const bound = { digest: w.digest('b'), signal: never() };
  await expect(w.residency.acquire(key('a'), bound)).rejects.toThrow('asked was');
  expect(stateOf(w, 'a')).toBe('Resident');
  expect(w.residency.tryAcquire(key('a'), bound)).toBeUndefined();
  await expect(w.residency.acquire(key('a'), bound)).rejects.toMatchObject({ code: 'ADAPTER_NOT_AVAILABLE' });
});

it('more waiting requests than allowed are turned away', async () => {
  const w = world({ maxWaiting: 1 });
  w.residency.apply([adapter('a')]);
  w.script.hold('fetch a');
  void w.residency.acquire(key('a'), { signal: never() });
  await expect(w.residency.acquire(key('a'), { signal: never() })).rejects.toMatchObject({
    code: 'QUEUE_FULL',
  });
});

it('a live request is loaded before what a rollout holds, that before a preload, that before a prefetch', async () => {
  const w = world({ maxParallelLoads: 1, budgetBytes: 1_000 });
  w.residency.apply([adapter('first', { tier: 'Disk' })]);
  const held = w.script.hold('compile first');
  await settle();
  const others = [
    adapter('disk', { tier: 'Disk' }),
    adapter('low', { tier: 'Memory' }),
    adapter('high', { tier: 'Memory', priority: 3 }),
    adapter('held', { held: true }),
    adapter('live'),
  ];
  w.residency.apply([adapter('first', { tier: 'Disk' }), ...others]);
  void w.residency.acquire(key('live'), { signal: never() });
  await settle();
  held.resolve();
  await settle();
  const compiles = w.script.calls.filter((call) => call.startsWith('compile'));
  expect(compiles.map((call) => call.slice(8))).toEqual(['first', 'live', 'held', 'high', 'low', 'disk']);
});

it('no more loads run at once than allowed', async () => {
  const w = world({ maxParallelLoads: 2 });
  const names = ['a', 'b', 'c'];
  const holds = names.map((name) => w.script.hold(`load ${name}`));
  w.residency.apply(names.map((name) => adapter(name, { tier: 'Memory' })));
  await settle();
  expect(w.script.calls.filter((call) => call.startsWith('load'))).toHaveLength(2);
  for (const held of holds) held.resolve();
  await settle();
  expect(names.map((name) => stateOf(w, name))).toEqual(['Resident', 'Resident', 'Resident']);
});

it('a fetch that hangs delays nothing that is on disk, and is given up after a minute without progress', async () => {
  const w = world({ maxParallelFetches: 1, maxParallelLoads: 1 });
  w.residency.apply([adapter('here', { tier: 'Disk' })]);
  await settle();
  w.residency.apply([adapter('here', { tier: 'Disk' }), adapter('slow')]);
  w.script.hold('fetch slow');
  const slow = w.residency.acquire(key('slow'), { signal: never() });
  const outcome = expect(slow).rejects.toThrow('FETCH_STALLED');
  using lease = await w.residency.acquire(key('here'), { signal: never() });
  expect(lease.name).toBe('here');
  w.clock.advance(60_000);
  await outcome;
});

it('what passed once is not examined again, also not by the next process', async () => {
  const passed = new Map<string, string>();
  const first = world({ passed });
  first.residency.apply([adapter('a', { tier: 'Memory' })]);
  await settle();
  expect(first.script.count('probe a')).toBe(1);
  const second = world({ passed });
  second.residency.apply([adapter('a', { tier: 'Memory' })]);
  await settle();
  expect(stateOf(second, 'a')).toBe('Resident');
  expect(second.script.count('probe a')).toBe(0);
});

it('a runtime that restarts offline comes back from its disk without asking the source', async () => {
  const disk = new Map();
  const resolved = new Map();
  const before = world({ disk, resolved });
  before.residency.apply([adapter('a', { tier: 'Memory' })]);
  await settle();
  const after = world({ disk, resolved });
  after.digest('a');
  after.script.fail('fetch a', new Error('no network'));
  after.residency.apply([adapter('a', { tier: 'Memory' })]);
  await settle();
  expect(stateOf(after, 'a')).toBe('Resident');
  expect(after.script.count('fetch a')).toBe(0);
});

it('removal drains before it unloads, and takes the artifact off the disk last', async () => {
  const w = world();
  w.residency.apply([adapter('a')]);
  const lease = await w.residency.acquire(key('a'), { signal: never() });
  w.residency.apply([]);
  await settle();
  expect(w.residency.tryAcquire(key('a'))).toBeUndefined();
  expect(w.engine.loaded.size).toBe(1);
  expect(w.residency.facts()[0]?.state).toBe('Draining');
  lease[Symbol.dispose]();
  await settle();
  expect(w.engine.loaded.size).toBe(0);
  expect(w.disk.size).toBe(0);
  expect(w.script.calls.slice(-3)).toEqual(['unload a', 'uncompile a', 'remove a']);
  expect(w.residency.facts()).toEqual([]);
});

it('an artifact stays on the disk while another adapter has its digest', async () => {
  const w = world();
  w.content.set('twin', 'a');
  w.residency.apply([adapter('a', { tier: 'Disk' }), adapter('twin', { tier: 'Disk' })]);
  await settle();
  w.residency.apply([adapter('twin', { tier: 'Disk' })]);
  await settle();
  expect(w.disk.size).toBe(1);
  w.residency.apply([]);
  await settle();
  expect(w.disk.size).toBe(0);
});

it('an adapter that is fetched while its twin is being removed ends with its files in place', async () => {
  const w = world();
  w.content.set('twin', 'a');
  w.residency.apply([adapter('a', { tier: 'Disk' })]);
  await settle();
  const removing = w.script.hold('remove a');
  w.residency.apply([]);
  await settle();
  w.residency.apply([adapter('twin', { tier: 'Disk' })]);
  await settle();
  removing.resolve();
  await settle();
  expect(stateOf(w, 'twin')).toBe('Compiled');
  expect(w.disk.size).toBe(1);
});

it('an adapter removed while it is being loaded leaves nothing in the engine', async () => {
  const w = world();
  const loading = w.script.hold('load a');
  w.residency.apply([adapter('a', { tier: 'Memory' })]);
  await settle();
  const waiting = w.residency.acquire(key('a'), { signal: never() });
  const outcome = expect(waiting).rejects.toMatchObject({ code: 'MODEL_NOT_FOUND' });
  w.residency.apply([]);
  await outcome;
  loading.resolve();
  await settle();
  expect(w.engine.loaded.size).toBe(0);
  expect(w.residency.usage().usedBytes).toBe(0);
  expect(w.script.count('probe a')).toBe(0);
  expect(w.disk.size).toBe(0);
});

it('an adapter deleted and created anew under its name waits until the old one has left the engine', async () => {
  const w = world();
  w.residency.apply([adapter('a')]);
  const old = await w.residency.acquire(key('a'), { signal: never() });
  w.residency.apply([adapter('a', { uid: 'uid-2' })]);
  const waiting = w.residency.acquire(key('a'), { signal: never() });
  await settle();
  expect(w.engine.loaded.size).toBe(1);
  expect(w.script.count('load a')).toBe(1);
  old[Symbol.dispose]();
  using fresh = await waiting;
  expect(fresh.digest).toBe(w.digest('a'));
  expect(w.script.calls.filter((c) => /^(un)?load/.test(c))).toEqual(['load a', 'unload a', 'load a']);
});

it('requests that wait while their adapter is replaced get the new one', async () => {
  const w = world();
  w.residency.apply([adapter('a')]);
  w.script.hold('fetch a');
  const waiting = w.residency.acquire(key('a'), { signal: never() });
  await settle();
  w.content.set('a', 'other content');
  w.residency.apply([adapter('a', { uid: 'uid-2' })]);
  using lease = await waiting;
  expect(lease.digest).toBe(w.digest('a'));
});

it('a change of the plan moves priority and pin without touching what serves', async () => {
  const w = world();
  w.residency.apply([adapter('a', { tier: 'Memory' })]);
  await settle();
  w.residency.apply([adapter('a', { tier: 'Memory', priority: 7, pinned: true })]);
  await settle();
  expect(w.residency.facts()[0]).toMatchObject({ state: 'Resident', priority: 7, pinned: true });
  expect(w.script.count('load a')).toBe(1);
});

it('a pin by hand outlives plans that say nothing new about it', async () => {
  const w = world();
  w.residency.apply([adapter('a')]);
  w.residency.pin(key('a'), true);
  w.residency.apply([adapter('a', { priority: 2 })]);
  expect(w.residency.facts()[0]?.pinned).toBe(true);
  w.residency.apply([adapter('a', { pinned: true })]);
  w.residency.apply([adapter('a')]);
  expect(w.residency.facts()[0]?.pinned).toBe(false);
});

it('evict by hand waits for the references and keeps the adapter out until someone asks for it', async () => {
  const w = world();
  w.residency.apply([adapter('a', { tier: 'Memory' })]);
  const lease = await w.residency.acquire(key('a'), { signal: never() });
  const evicting = w.residency.evict(key('a'), never());
  await settle();
  expect(stateOf(w, 'a')).toBe('Draining');
  lease[Symbol.dispose]();
  await evicting;
  await settle();
  expect(stateOf(w, 'a')).toBe('Compiled');
  using again = await w.residency.acquire(key('a'), { signal: never() });
  expect(again.name).toBe('a');
});

it('what a rollout holds is not evicted by hand', async () => {
  const w = world();
  w.residency.apply([adapter('a', { held: true })]);
  await settle();
  await expect(w.residency.evict(key('a'), never())).rejects.toMatchObject({ code: 'VERB_REFUSED' });
  expect(stateOf(w, 'a')).toBe('Resident');
});

it('preload resolves when the adapter is resident', async () => {
  const w = world();
  w.residency.apply([adapter('a')]);
  await w.residency.preload(key('a'), never());
  expect(stateOf(w, 'a')).toBe('Resident');
  await w.residency.preload(key('a'), never());
  expect(w.residency.facts()[0]).toMatchObject({ references: 0, residentBytes: 10, rank: 8, storedBytes: 5 });
});

it('adapters of single users are bounded: the least recently used one that nobody uses goes', async () => {
  const w = world({ maxDynamic: 2 });
  w.residency.apply([adapter('planned')]);
  for (const name of ['u1', 'u2']) w.residency.ensure(adapter(name));
  using lease = await w.residency.acquire(key('u1'), { signal: never() });
  w.residency.ensure(adapter('u3'));
  expect([stateOf(w, 'u1'), stateOf(w, 'u2'), stateOf(w, 'u3')]).toEqual(['Resident', undefined, 'Remote']);
  using second = await w.residency.acquire(key('u3'), { signal: never() });
  expect(() => w.residency.ensure(adapter('u4'))).toThrow('all 2 adapters of single users are in use');
  w.residency.apply([adapter('planned')]);
  expect(w.residency.facts().map((f) => f.key)).toEqual(['team/planned', lease.key, second.key]);
});

it('closing refuses who waits and stops the work', async () => {
  const w = world();
  w.residency.apply([adapter('a'), adapter('b')]);
  w.script.hold('fetch a');
  const waiting = w.residency.acquire(key('a'), { signal: never() });
  const outcome = expect(waiting).rejects.toMatchObject({ code: 'ENGINE_DOWN' });
  await settle();
  await w.residency.close();
  await outcome;
  await expect(w.residency.acquire(key('b'), { signal: never() })).rejects.toMatchObject({
    code: 'ENGINE_DOWN',
  });
});

it('a listener that throws harms nobody', async () => {
  const w = world();
  w.residency.onTransition(() => {
    throw new Error('mine');
  });
  w.residency.apply([adapter('a', { tier: 'Memory' })]);
  await settle();
  expect(stateOf(w, 'a')).toBe('Resident');
});

it('a request is served whenever it comes, also in the moment in which a prefetch ends', async () => {
  for (let moment = 0; moment < 40; moment++) {
    const w = world();
    const compiling = w.script.hold('compile a');
    w.residency.apply([adapter('a', { tier: 'Disk' })]);
    await settle();
    compiling.resolve();
    for (let i = 0; i < moment; i++) await Promise.resolve();
    using lease = await w.residency.acquire(key('a'), { signal: never() });
    expect(lease.name).toBe('a');
  }
});
