import { describe, expect, it } from 'vitest';
import { AdaptletError } from '../../errors/adaptlet-error.ts';
import { adapter, key, never, settle, stateOf, type World, world } from './fake-ports.ts';

const acquire = (w: World, name: string) => w.residency.acquire(key(name), { signal: never() });

describe('the end of the engine process', () => {
  const stages = ['compile', 'load', 'probe'] as const;
  for (const stage of stages) {
    it(`during ${stage} is survived: the load starts over when the engine is back`, async () => {
      const w = world();
      const held = w.script.hold(`${stage} a`);
      w.residency.apply([adapter('a')]);
      const waiting = acquire(w, 'a');
      await settle();
      w.engine.kill();
      held.resolve();
      await settle();
      expect(stateOf(w, 'a')).toBe('Compiled');
      expect(w.residency.usage().usedBytes).toBe(0);
      w.engine.become('ready');
      using lease = await waiting;
      expect(lease.name).toBe('a');
    });
  }

  it('before its calls are cut off is survived as well', async () => {
    const w = world();
    const loading = w.script.hold('load a');
    w.residency.apply([adapter('a')]);
    const waiting = acquire(w, 'a');
    await settle();
    loading.reject(new AdaptletError('ENGINE_DOWN', 'cut'));
    await settle();
    expect(w.script.count('load a')).toBe(1);
    w.engine.restart();
    using lease = await waiting;
    expect(lease.name).toBe('a');
  });

  it('while a load waits for its place takes its reservation: it makes another before it loads', async () => {
    const w = world({ maxParallelLoads: 1 });
    w.script.hold('load a');
    w.residency.apply([adapter('a', { tier: 'Memory' }), adapter('b', { tier: 'Memory' })]);
    await settle();
    const loading = w.script.hold('load b');
    w.engine.restart();
    await settle();
    expect(w.script.count('load b')).toBe(1);
    const charged = () => w.residency.facts().find((f) => f.key === key('b'))?.residentBytes;
    expect(charged()).toBe(10);
    loading.resolve();
    await settle();
    expect([stateOf(w, 'a'), stateOf(w, 'b')]).toEqual(['Resident', 'Resident']);
  });

  it('right after a load leaves nothing that is taken for loaded', async () => {
    const w = world();
    const load = w.engine.load.bind(w.engine);
    let first = true;
    w.engine.load = (name) => {
      if (!first) return load(name);
      first = false;
      queueMicrotask(() => {
        w.engine.restart();
      });
      return Promise.resolve({ bytes: 10, ms: 1 });
    };
    w.residency.apply([adapter('a')]);
    using lease = await acquire(w, 'a');
    expect(w.engine.loaded.has(lease.engineName)).toBe(true);
  });

  it('voids leases: giving them back later changes nothing', async () => {
    const w = world();
    w.residency.apply([adapter('a')]);
    const lease = await acquire(w, 'a');
    w.engine.restart();
    await settle();
    expect(stateOf(w, 'a')).toBe('Resident');
    using fresh = await acquire(w, 'a');
    lease[Symbol.dispose]();
    lease[Symbol.dispose]();
    expect(fresh.engineName).toBe(lease.engineName);
    expect(w.residency.facts()[0]?.references).toBe(1);
  });

  it('ends a drain', async () => {
    const w = world();
    w.residency.apply([adapter('a')]);
    await acquire(w, 'a');
    const evicting = w.residency.evict(key('a'), never());
    await settle();
    expect(stateOf(w, 'a')).toBe('Draining');
    w.engine.restart();
    await evicting;
    await settle();
    expect(stateOf(w, 'a')).toBe('Compiled');
  });

  it('during an unload leaves the adapter out', async () => {
    const w = world();
    w.residency.apply([adapter('a')]);
    (await acquire(w, 'a'))[Symbol.dispose]();
    w.script.hold('unload a');
    const evicting = w.residency.evict(key('a'), never());
    await settle();
    w.engine.restart();
    await evicting;
    expect([stateOf(w, 'a'), w.engine.loaded.size]).toEqual(['Compiled', 0]);
  });

  it('while an adapter is being removed lets the removal end', async () => {
    const w = world();
    w.residency.apply([adapter('a')]);
    await acquire(w, 'a');
    w.residency.apply([]);
    await settle();
    w.engine.kill();
    await settle();
    expect([w.residency.facts().length, w.disk.size]).toEqual([0, 0]);
  });

  it('is followed by reloads: live requests, then what the plan wants, then the most recently used', async () => {
    const w = world({ maxParallelLoads: 1, budgetBytes: 1_000 });
    const names = ['old', 'recent', 'wanted', 'held', 'live', 'never'];
    w.residency.apply([
      adapter('old'),
      adapter('recent'),
      adapter('wanted', { tier: 'Memory' }),
      adapter('held', { held: true }),
      adapter('live'),
      adapter('never'),
    ]);
    for (const name of ['old', 'recent', 'live']) (await acquire(w, name))[Symbol.dispose]();
    await settle();
    w.engine.kill();
    w.script.calls.length = 0;
    const live = acquire(w, 'live');
    await settle();
    w.engine.become('ready');
    (await live)[Symbol.dispose]();
    await settle();
    const loads = w.script.calls.filter((call) => call.startsWith('load')).map((call) => call.slice(5));
    expect(loads).toEqual(['live', 'held', 'wanted', 'recent', 'old']);
    expect(names.map((name) => stateOf(w, name)).slice(0, 5)).toEqual(Array(5).fill('Resident'));
  });

  it('again and again under one adapter makes that one fail and nobody else', async () => {
    const w = world({ maxParallelLoads: 2 });
    w.residency.apply([adapter('good', { tier: 'Memory' }), adapter('bad', { tier: 'Memory' })]);
    for (let i = 0; i < 3; i++) w.script.hold('load bad');
    for (let i = 0; i < 3; i++) {
      await settle();
      expect(w.script.count('load bad')).toBe(i + 1);
      w.engine.restart();
    }
    await settle();
    expect([stateOf(w, 'good'), stateOf(w, 'bad')]).toEqual(['Resident', 'Failed']);
    expect(w.residency.facts()[0]?.message).toContain('ended 3 times in a row while adapter team/bad');
  });

  it('makes those suspect that were being loaded: from then on each is loaded alone', async () => {
    const w = world({ maxParallelLoads: 2 });
    for (const name of ['good', 'bad']) w.script.hold(`load ${name}`);
    w.residency.apply([adapter('good', { tier: 'Memory' }), adapter('bad', { tier: 'Memory' })]);
    await settle();
    expect([w.script.count('load good'), w.script.count('load bad')]).toEqual([1, 1]);
    const loading = w.script.hold('load good');
    w.engine.restart();
    await settle();
    expect([w.script.count('load good'), w.script.count('load bad')]).toEqual([2, 1]);
    loading.resolve();
    await settle();
    expect([stateOf(w, 'good'), stateOf(w, 'bad')]).toEqual(['Resident', 'Resident']);
  });

  it('while requests wait: they wait on within their deadline, and a closed engine refuses them', async () => {
    const w = world();
    w.engine.become('down');
    w.residency.apply([adapter('a')]);
    const deadline = new AbortController();
    const late = w.residency.acquire(key('a'), { signal: deadline.signal });
    const outcome = expect(late).rejects.toMatchObject({ code: 'DEADLINE_EXCEEDED' });
    await settle();
    deadline.abort(new AdaptletError('DEADLINE_EXCEEDED', 'too late'));
    await outcome;
    const refused = expect(acquire(w, 'a')).rejects.toThrow('ENGINE_DOWN');
    await settle();
    w.engine.become('closed');
    await refused;
  });
});
