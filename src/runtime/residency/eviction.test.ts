import { expect, it, vi } from 'vitest';
import { AdaptletError } from '../../errors/adaptlet-error.ts';
import { silentLog } from '../../telemetry/log.fixture.ts';
import { adapter, key, loadedBytes, never, settle, stateOf, world } from './fake-ports.ts';

const acquire = (w: ReturnType<typeof world>, name: string, signal = never()) =>
  w.residency.acquire(key(name), { signal });

it('of the unreferenced the lowest priority leaves first, then the least recently used', async () => {
  const w = world({ budgetBytes: 30 });
  w.residency.apply([adapter('a', { priority: 1 }), adapter('b'), adapter('c'), adapter('d')]);
  for (const name of ['a', 'b', 'c', 'b']) (await acquire(w, name))[Symbol.dispose]();
  (await acquire(w, 'd'))[Symbol.dispose]();
  expect(['a', 'b', 'c', 'd'].map((name) => stateOf(w, name))).toEqual([
    'Resident',
    'Resident',
    'Compiled',
    'Resident',
  ]);
});

it.each([
  ['lru', ['Compiled', 'Compiled', 'Resident']],
  ['hit-density', ['Resident', 'Compiled', 'Compiled']],
] as const)(
  '%s: an adapter used often and others used once share RAM for two',
  async (evictionPolicy, states) => {
    const w = world({ budgetBytes: 20, evictionPolicy });
    w.residency.apply(['often', 'one', 'two', 'three'].map((name) => adapter(name)));
    for (const name of ['often', 'often', 'often', 'one', 'two', 'three']) {
      (await acquire(w, name))[Symbol.dispose]();
    }
    expect(['often', 'one', 'two'].map((name) => stateOf(w, name))).toEqual(states);
    expect(stateOf(w, 'three')).toBe('Resident');
  },
);

it('hit-density: a newcomer worth less than all others is served, and leaves first once nobody uses it', async () => {
  const w = world({ budgetBytes: 20, evictionPolicy: 'hit-density' });
  w.residency.apply(['a', 'b', 'new', 'newer'].map((name) => adapter(name)));
  for (const name of ['a', 'b', 'a', 'b', 'a']) (await acquire(w, name))[Symbol.dispose]();
  const lease = await acquire(w, 'new');
  expect([stateOf(w, 'a'), stateOf(w, 'b'), stateOf(w, 'new')]).toEqual(['Resident', 'Compiled', 'Resident']);
  // In use it is no victim while someone idle is there.
  (await acquire(w, 'b'))[Symbol.dispose]();
  expect([stateOf(w, 'a'), stateOf(w, 'new')]).toEqual(['Compiled', 'Resident']);
  await acquire(w, 'a', never()).then((other) => other[Symbol.dispose]());
  lease[Symbol.dispose]();
  (await acquire(w, 'newer'))[Symbol.dispose]();
  expect(stateOf(w, 'new')).toBe('Compiled');
});

it('hit-density: a preload counts as a use, so that the next miss does not put it out at once', async () => {
  const w = world({ budgetBytes: 20, evictionPolicy: 'hit-density' });
  w.residency.apply(['a', 'b', 'c'].map((name) => adapter(name)));
  (await acquire(w, 'a'))[Symbol.dispose]();
  await w.residency.preload(key('b'), never());
  (await acquire(w, 'c'))[Symbol.dispose]();
  expect(['a', 'b', 'c'].map((name) => stateOf(w, name))).toEqual(['Compiled', 'Resident', 'Resident']);
});

it('the bytes of a victim count until the engine has freed them', async () => {
  const w = world({ budgetBytes: 10 });
  w.residency.apply([adapter('a'), adapter('b')]);
  (await acquire(w, 'a'))[Symbol.dispose]();
  const unloading = w.script.hold('unload a');
  const waiting = acquire(w, 'b');
  await settle();
  expect(w.script.count('load b')).toBe(0);
  unloading.resolve();
  using lease = await waiting;
  expect(lease.name).toBe('b');
  expect(w.residency.usage().usedBytes).toBe(10);
});

it('an engine that refuses to unload is asked again, and the bytes count meanwhile', async () => {
  const w = world({ budgetBytes: 10 });
  w.residency.apply([adapter('a'), adapter('b')]);
  (await acquire(w, 'a'))[Symbol.dispose]();
  w.script.fail('unload a', new Error('busy'));
  const waiting = acquire(w, 'b');
  await settle();
  expect(w.residency.usage().usedBytes).toBe(10);
  w.clock.advance(1_000);
  using lease = await waiting;
  expect(lease.name).toBe('b');
});

it('when everything is in use a request waits for a drain, and new requests do not keep it from coming', async () => {
  const w = world({ budgetBytes: 10 });
  w.residency.apply([adapter('a'), adapter('b')]);
  const first = await acquire(w, 'a');
  const b = acquire(w, 'b');
  await settle();
  expect(stateOf(w, 'a')).toBe('Draining');
  const second = acquire(w, 'a');
  await settle();
  first[Symbol.dispose]();
  const served = await b;
  expect(served.name).toBe('b');
  served[Symbol.dispose]();
  using back = await second;
  expect(back.name).toBe('a');
  expect(loadedBytes(w)).toBe(10);
});

it('adapters that are used at the same time and do not fit are told of once, with what would hold them', async () => {
  const warn = vi.fn();
  const w = world({ budgetBytes: 20, logger: { ...silentLog, warn } });
  w.residency.apply(['a', 'b', 'c', 'd'].map((name) => adapter(name)));
  // One after the other they fit.
  for (const name of ['a', 'b', 'c']) (await acquire(w, name))[Symbol.dispose]();
  expect(w.residency.usage().limit).toBeUndefined();
  const leases = await Promise.all([acquire(w, 'b'), acquire(w, 'c')]);
  const others = ['a', 'd'].map((name) => acquire(w, name));
  await settle();
  const limit = { flag: '--adapter-memory', neededBytes: 40, budgetBytes: 20 };
  expect(w.residency.usage().limit).toMatchObject(limit);
  for (const lease of leases) lease[Symbol.dispose]();
  for (const lease of await Promise.all(others)) lease[Symbol.dispose]();
  expect(warn.mock.calls).toEqual([
    [
      expect.objectContaining({ flag: '--adapter-memory', budgetBytes: 20 }),
      expect.stringContaining('memory'),
    ],
  ]);
});

it('adapters that take turns in RAM because they are meant to are not told of', async () => {
  const w = world({ budgetBytes: 20, oneAdapter: true });
  w.residency.apply(['a', 'b'].map((name) => adapter(name)));
  const first = await acquire(w, 'a');
  const second = acquire(w, 'b');
  await settle();
  expect(w.residency.usage().limit).toBeUndefined();
  first[Symbol.dispose]();
  (await second)[Symbol.dispose]();
});

it('a request whose deadline ends while it waits for a drain leaves the adapter to those who use it', async () => {
  const w = world({ budgetBytes: 10 });
  w.residency.apply([adapter('a', { tier: 'Memory' }), adapter('b')]);
  const using = await acquire(w, 'a');
  const deadline = new AbortController();
  const outcome = expect(acquire(w, 'b', deadline.signal)).rejects.toMatchObject({
    code: 'DEADLINE_EXCEEDED',
  });
  await settle();
  deadline.abort(new AdaptletError('DEADLINE_EXCEEDED', 'too late'));
  await outcome;
  using[Symbol.dispose]();
  await settle();
  expect(stateOf(w, 'a')).toBe('Resident');
  expect(stateOf(w, 'b')).toBe('Compiled');
});

it('what a rollout holds or a pin keeps is never evicted; the refusal has the numbers', async () => {
  const w = world({ budgetBytes: 25 });
  w.residency.apply([adapter('stable', { held: true }), adapter('pinned', { pinned: true }), adapter('c')]);
  (await acquire(w, 'pinned'))[Symbol.dispose]();
  await expect(acquire(w, 'c')).rejects.toThrow(
    'team/c needs 10 bytes of RAM; of the budget of 25 bytes 20 are held',
  );
  expect([stateOf(w, 'stable'), stateOf(w, 'pinned'), stateOf(w, 'c')]).toEqual([
    'Resident',
    'Resident',
    'Compiled',
  ]);
  w.residency.pin(key('pinned'), false);
  using lease = await acquire(w, 'c');
  expect(lease.name).toBe('c');
  expect(stateOf(w, 'pinned')).toBe('Compiled');
});

it('a canary is loaded beside its stable by putting out others, also those in use', async () => {
  const w = world({ budgetBytes: 30 });
  w.residency.apply([adapter('stable', { held: true }), adapter('x'), adapter('y')]);
  const x = await acquire(w, 'x');
  const y = await acquire(w, 'y');
  w.residency.apply([
    adapter('stable', { held: true }),
    adapter('canary', { held: true, tier: 'Memory' }),
    adapter('x'),
    adapter('y'),
  ]);
  await settle();
  expect(stateOf(w, 'canary')).toBe('Compiled');
  x[Symbol.dispose]();
  await settle();
  expect([stateOf(w, 'stable'), stateOf(w, 'canary'), stateOf(w, 'x'), stateOf(w, 'y')]).toEqual([
    'Resident',
    'Resident',
    'Compiled',
    'Resident',
  ]);
  y[Symbol.dispose]();
});

it('a canary that does not fit beside its stable stays compiled, and `fits` says so with the numbers', async () => {
  const w = world({ budgetBytes: 15 });
  w.residency.apply([adapter('stable', { held: true })]);
  await settle();
  w.residency.apply([adapter('stable', { held: true }), adapter('canary', { held: true })]);
  await settle();
  expect([stateOf(w, 'stable'), stateOf(w, 'canary')]).toEqual(['Resident', 'Compiled']);
  expect(w.residency.fits([key('stable'), key('canary')])).toMatchObject({
    fits: false,
    needBytes: 20,
    budgetBytes: 15,
    unknown: [],
  });
  expect(w.residency.facts()[0]?.message).toContain('needs 10 bytes');
  w.residency.apply([adapter('stable'), adapter('canary', { held: true })]);
  await settle();
  expect(stateOf(w, 'canary')).toBe('Resident');
});

it('`fits` counts what is pinned beside, and names what has no known size', async () => {
  const w = world({ budgetBytes: 25 });
  w.residency.apply([
    adapter('pinned', { pinned: true, tier: 'Memory' }),
    adapter('a', { tier: 'Disk' }),
    adapter('b', { tier: 'Disk' }),
    adapter('c'),
  ]);
  await settle();
  expect(w.residency.fits([key('a')])).toMatchObject({ fits: true, needBytes: 10, fixedBytes: 10 });
  expect(w.residency.fits([key('a'), key('b')]).fits).toBe(false);
  expect(w.residency.fits([key('c')]).unknown).toEqual([key('c')]);
});

it('with the budget for one adapter stable steps down for its canary, and a rollback brings it back from disk', async () => {
  const w = world({ budgetBytes: 10, oneAdapter: true });
  w.residency.apply([adapter('stable', { held: true })]);
  await settle();
  const inUse = await acquire(w, 'stable');
  w.residency.apply([adapter('stable', { held: true }), adapter('canary', { held: true })]);
  await settle();
  expect(w.engine.loaded.size).toBe(1);
  inUse[Symbol.dispose]();
  await settle();
  expect([stateOf(w, 'stable'), stateOf(w, 'canary')]).toEqual(['Compiled', 'Resident']);
  expect(w.residency.fits([key('stable'), key('canary')]).fits).toBe(true);
  const fetches = w.script.count('fetch stable');
  using back = await acquire(w, 'stable');
  expect(back.name).toBe('stable');
  expect(w.script.count('fetch stable')).toBe(fetches);
  await settle();
  expect(stateOf(w, 'canary')).toBe('Compiled');
});

it('with one adapter at a time small ones take turns, and one that comes to be held gets its turn again', async () => {
  const w = world({ budgetBytes: 100, oneAdapter: true, sizes: { stable: 10, next: 10 } });
  w.residency.apply([adapter('stable', { held: true }), adapter('next')]);
  await settle();
  (await acquire(w, 'next'))[Symbol.dispose]();
  await settle();
  expect(w.engine.loaded.size).toBe(1);
  (await acquire(w, 'stable'))[Symbol.dispose]();
  await settle();
  expect([stateOf(w, 'stable'), stateOf(w, 'next')]).toEqual(['Resident', 'Compiled']);
  w.residency.apply([adapter('stable', { held: true }), adapter('next', { held: true })]);
  await settle();
  expect([stateOf(w, 'stable'), stateOf(w, 'next')]).toEqual(['Compiled', 'Resident']);
});

it('an adapter alone above the budget fails with both numbers and is not tried again by itself', async () => {
  const w = world({ sizes: { huge: 200 } });
  w.residency.apply([adapter('huge')]);
  await expect(acquire(w, 'huge')).rejects.toThrow('needs 200 bytes of RAM, the budget is 100 bytes');
  expect(w.residency.facts()[0]).toMatchObject({ state: 'Failed', reason: 'RESIDENCY_BUDGET' });
  w.clock.advance(3_600_000);
  await settle();
  expect(w.script.count('compile huge')).toBe(1);
});

it('preloads fill the budget by priority and do not push each other out again', async () => {
  const w = world({ budgetBytes: 25, maxParallelLoads: 1 });
  const wanted = ['a', 'b', 'c', 'd'].map((name, i) => adapter(name, { tier: 'Memory', priority: i }));
  w.residency.apply(wanted);
  await settle();
  expect(['a', 'b', 'c', 'd'].map((name) => stateOf(w, name))).toEqual([
    'Compiled',
    'Compiled',
    'Resident',
    'Resident',
  ]);
  const loads = w.script.calls.filter((call) => call.startsWith('load')).length;
  w.residency.apply(wanted);
  w.residency.apply(wanted);
  await settle();
  expect(w.script.calls.filter((call) => call.startsWith('load'))).toHaveLength(loads);
});

it('a preload that found no room comes in when something leaves for good', async () => {
  const w = world({ budgetBytes: 10 });
  w.residency.apply([adapter('a', { tier: 'Memory', priority: 1 }), adapter('b', { tier: 'Memory' })]);
  await settle();
  expect(stateOf(w, 'b')).toBe('Compiled');
  await w.residency.evict(key('a'), never());
  await settle();
  expect([stateOf(w, 'a'), stateOf(w, 'b')]).toEqual(['Compiled', 'Resident']);
});

it('an adapter that needs more RAM than its compiled file says is counted with what it needs', async () => {
  const w = world({ budgetBytes: 25 });
  w.extra.set('b', 10);
  w.residency.apply([adapter('a'), adapter('b')]);
  (await acquire(w, 'a'))[Symbol.dispose]();
  using lease = await acquire(w, 'b');
  expect(lease.name).toBe('b');
  expect(stateOf(w, 'a')).toBe('Compiled');
  expect(w.residency.usage().usedBytes).toBe(20);
});

it('an adapter that needs less RAM than its compiled file says is counted with what it needs', async () => {
  const w = world();
  w.extra.set('a', -4);
  w.residency.apply([adapter('a', { tier: 'Memory' })]);
  await settle();
  expect(w.residency.usage().usedBytes).toBe(6);
});

it('a preload that found only adapters in use comes in once they are idle, after a while', async () => {
  const w = world({ budgetBytes: 10 });
  w.residency.apply([adapter('idle')]);
  const lease = await acquire(w, 'idle');
  w.residency.apply([adapter('idle'), adapter('wanted', { tier: 'Memory' })]);
  await settle();
  lease[Symbol.dispose]();
  await settle();
  expect(stateOf(w, 'wanted')).toBe('Compiled');
  w.clock.advance(30_000);
  await settle();
  expect([stateOf(w, 'idle'), stateOf(w, 'wanted')]).toEqual(['Compiled', 'Resident']);
});

it('a request that gives up makes way for those behind it at once', async () => {
  const w = world({ sizes: { a: 60, big: 90 } });
  const loading = w.script.hold('load a');
  w.residency.apply([adapter('a', { tier: 'Memory' }), adapter('big'), adapter('small')]);
  await settle();
  const caller = new AbortController();
  const big = expect(acquire(w, 'big', caller.signal)).rejects.toMatchObject({ code: 'REQUEST_CANCELLED' });
  await settle();
  const small = acquire(w, 'small');
  await settle();
  expect(stateOf(w, 'small')).toBe('Compiled');
  caller.abort();
  await big;
  using lease = await small;
  expect(lease.name).toBe('small');
  loading.resolve();
});

it('with the budget for one adapter what the plan wants next is tried once, and then only on request', async () => {
  const w = world({ budgetBytes: 10, oneAdapter: true });
  const plan = [adapter('stable', { held: true, tier: 'Memory' }), adapter('next', { tier: 'Memory' })];
  w.residency.apply(plan.slice(0, 1));
  await settle();
  w.residency.apply(plan);
  await settle();
  expect([stateOf(w, 'stable'), stateOf(w, 'next')]).toEqual(['Compiled', 'Resident']);
  (await acquire(w, 'stable'))[Symbol.dispose]();
  w.residency.apply(plan);
  w.clock.advance(60_000);
  await settle();
  expect([stateOf(w, 'stable'), stateOf(w, 'next')]).toEqual(['Resident', 'Compiled']);
});

it('with the budget for one adapter a canary that stepped down serves still, and comes back for who asks for it', async () => {
  const w = world({ budgetBytes: 10, oneAdapter: true });
  const both = [adapter('stable', { held: true }), adapter('canary', { held: true })];
  w.residency.apply(both.slice(0, 1));
  await settle();
  const serves = () => w.residency.serves(key('canary'), w.digest('canary'));
  w.residency.apply(both);
  expect(serves()).toBe(false);
  await settle();
  expect(serves()).toBe(true);
  (await acquire(w, 'stable'))[Symbol.dispose]();
  await settle();
  expect([stateOf(w, 'canary'), serves()]).toEqual(['Compiled', true]);
  (await acquire(w, 'canary'))[Symbol.dispose]();
  expect([stateOf(w, 'stable'), stateOf(w, 'canary')]).toEqual(['Compiled', 'Resident']);
});

it('a preload that was put out for a request does not come back at once, but after a while', async () => {
  const w = world({ budgetBytes: 10 });
  w.residency.apply([adapter('wanted', { tier: 'Memory' }), adapter('b')]);
  await settle();
  (await acquire(w, 'b'))[Symbol.dispose]();
  await settle();
  expect(stateOf(w, 'b')).toBe('Resident');
  w.clock.advance(30_000);
  await settle();
  expect([stateOf(w, 'wanted'), stateOf(w, 'b')]).toEqual(['Resident', 'Compiled']);
});
