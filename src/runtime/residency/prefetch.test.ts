import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { AdaptletError } from '../../errors/adaptlet-error.ts';
import {
  adapter,
  key,
  never,
  type Shape,
  settle,
  stateOf,
  type World,
  type WorldShape,
  world,
} from './fake-ports.ts';

const on = { downloads: true, hourlyBytes: 1_000 };
const node = (shape: WorldShape = {}): World => world({ prefetch: on, ...shape });
/** From a registry; an artifact has 5 bytes, in RAM 10. */
const remote = (name: string, shape: Shape = {}) =>
  adapter(name, { source: { oci: { image: name } }, ...shape });
const acquire = (w: World, name: string) => w.residency.acquire(key(name), { signal: never() });
const use = async (w: World, ...names: readonly string[]): Promise<void> => {
  for (const name of names) {
    (await acquire(w, name))[Symbol.dispose]();
    await settle();
  }
};
const expectNext = async (w: World, ...names: readonly string[]): Promise<void> => {
  w.residency.expect(names.map((name) => key(name)));
  await settle();
};
const states = (w: World, ...names: readonly string[]) => names.map((name) => stateOf(w, name));
const away = (): AdaptletError => new AdaptletError('REGISTRY_UNAVAILABLE', 'it is away');

describe('what is expected', () => {
  it('comes to the disk and is compiled, and is not tried in an engine that never had it', async () => {
    const w = node();
    w.residency.apply([remote('a')]);
    await expectNext(w, 'a');
    expect([stateOf(w, 'a'), w.script.count('load a')]).toEqual(['Compiled', 0]);
    expect(w.residency.prefetched().disk).toEqual({ broughtBytes: 5, wastedBytes: 0, hits: 0 });
    await use(w, 'a', 'a');
    expect(w.residency.prefetched().disk).toEqual({ broughtBytes: 5, wastedBytes: 0, hits: 1 });
    expect(w.script.count('fetch a')).toBe(1);
  });

  it('comes into RAM that is free once it passed its tests here, and a use of it is a hit', async () => {
    const w = node({ budgetBytes: 20, sizes: { big: 20 } });
    w.residency.apply([adapter('a'), adapter('big')]);
    await use(w, 'a', 'big');
    await w.residency.evict(key('big'), never());
    expect(states(w, 'a', 'big')).toEqual(['Compiled', 'Compiled']);
    await expectNext(w, 'a', 'big');
    // What was put out by hand stays out.
    expect(states(w, 'a', 'big')).toEqual(['Resident', 'Compiled']);
    await use(w, 'a');
    expect(w.residency.prefetched().ram).toEqual({ broughtBytes: 10, wastedBytes: 0, hits: 1 });
  });

  it('is brought one after the other, the likeliest first, once nobody waits any more', async () => {
    const w = node();
    w.residency.apply([remote('a'), remote('b'), remote('c')]);
    const load = w.script.hold('load c');
    const waiting = acquire(w, 'c');
    await settle();
    await expectNext(w, 'a', 'b');
    expect(states(w, 'a', 'b')).toEqual(['Remote', 'Remote']);
    load.resolve();
    (await waiting)[Symbol.dispose]();
    await settle();
    expect(w.script.calls.filter((call) => call.startsWith('fetch'))).toEqual([
      'fetch c',
      'fetch a',
      'fetch b',
    ]);
  });

  it('of single users is registered as long as nothing has to leave RAM for it', async () => {
    const w = node({ maxDynamic: 2, budgetBytes: 20 });
    w.residency.apply([adapter('planned')]);
    for (const name of ['u1', 'u2']) {
      w.residency.ensure(adapter(name));
      await use(w, name);
    }
    w.residency.expect([adapter('u3')]);
    expect(states(w, 'u1', 'u2', 'u3')).toEqual(['Resident', 'Resident', undefined]);
    await use(w, 'planned');
    w.residency.expect([adapter('u3')]);
    await settle();
    expect(states(w, 'u1', 'u2', 'u3')).toEqual([undefined, 'Resident', 'Compiled']);
  });

  it('is left alone where prefetches are off, and not downloaded where they may not', async () => {
    const off = node({ prefetch: undefined });
    const local = node({ prefetch: { downloads: false, hourlyBytes: 1_000 } });
    for (const w of [off, local]) {
      w.residency.apply([remote('a'), adapter('copied')]);
      await expectNext(w, 'a', 'copied');
    }
    expect(states(off, 'a', 'copied')).toEqual(['Remote', 'Remote']);
    expect(states(local, 'a', 'copied')).toEqual(['Remote', 'Compiled']);
  });

  it('is downloaded within the bytes of an hour', async () => {
    const w = node({ prefetch: { downloads: true, hourlyBytes: 8 } });
    w.residency.apply([remote('a'), remote('b')]);
    await expectNext(w, 'a', 'b');
    expect(states(w, 'a', 'b')).toEqual(['Compiled', 'Remote']);
    w.clock.advance(30 * 60_000);
    await expectNext(w, 'b');
    expect(stateOf(w, 'b')).toBe('Compiled');
  });
});

describe('nothing leaves for a guess', () => {
  it('neither RAM that is full, nor a disk at its high mark', async () => {
    const disk = { usedBytes: 0, highBytes: 20, lowBytes: 10 };
    const w = node({ budgetBytes: 10, diskMarks: () => disk });
    w.residency.apply([adapter('a'), adapter('b'), remote('c')]);
    await use(w, 'a', 'b');
    await expectNext(w, 'a');
    expect(states(w, 'a', 'b')).toEqual(['Compiled', 'Resident']);
    disk.usedBytes = 16;
    await expectNext(w, 'c');
    expect([stateOf(w, 'c'), w.script.count('fetch c')]).toEqual(['Remote', 0]);
    disk.usedBytes = 15;
    w.clock.advance(60_000);
    await expectNext(w, 'c');
    expect(stateOf(w, 'c')).toBe('Compiled');
  });

  it('and what came by one leaves first, whatever its priority, and does not come back at once', async () => {
    const w = node({ budgetBytes: 20, sizes: { big: 20 } });
    w.residency.apply([
      adapter('high', { priority: 9 }),
      ...['low', 'big', 'next'].map((name) => adapter(name)),
    ]);
    await use(w, 'high', 'big');
    await w.residency.evict(key('big'), never());
    // Half of RAM is free after that: what was used before has it.
    await use(w, 'low');
    expect(states(w, 'high', 'low')).toEqual(['Resident', 'Resident']);
    await use(w, 'next');
    expect(states(w, 'high', 'low', 'next')).toEqual(['Compiled', 'Resident', 'Resident']);
    expect(w.residency.prefetched().ram).toEqual({ broughtBytes: 10, wastedBytes: 10, hits: 0 });
    await w.residency.evict(key('next'), never());
    await expectNext(w, 'high');
    expect(stateOf(w, 'high')).toBe('Compiled');
    w.clock.advance(900_000);
    await expectNext(w, 'high');
    expect(stateOf(w, 'high')).toBe('Resident');
  });

  it('nor does it come back after an end of the engine, as what was used does', async () => {
    const w = node({ budgetBytes: 20, sizes: { big: 20 } });
    w.residency.apply(['guess', 'used', 'big'].map((name) => adapter(name)));
    await use(w, 'guess', 'big');
    await w.residency.evict(key('big'), never());
    await use(w, 'used');
    expect(states(w, 'guess', 'used')).toEqual(['Resident', 'Resident']);
    w.engine.restart();
    await settle();
    expect(states(w, 'guess', 'used')).toEqual(['Compiled', 'Resident']);
    expect(w.residency.prefetched().ram).toEqual({ broughtBytes: 10, wastedBytes: 10, hits: 0 });
  });

  it('RAM that is left over gets what was used before and fits', async () => {
    const w = node({ budgetBytes: 30, sizes: { big: 25, small: 5 } });
    w.residency.apply(['small', 'a', 'b', 'big', 'never'].map((name) => adapter(name)));
    await use(w, 'small', 'a', 'b', 'big');
    expect(states(w, 'small', 'a', 'b', 'big', 'never')).toEqual([
      'Resident',
      'Compiled',
      'Compiled',
      'Resident',
      'Remote',
    ]);
  });

  it('as long as it pays: once more than all of RAM came in vain, it is left free', async () => {
    const w = node({ budgetBytes: 30, sizes: { big: 25, small: 5 } });
    w.residency.apply(['small', 'a', 'b', 'c', 'big'].map((name) => adapter(name)));
    await use(w, 'small');
    for (let round = 0; round < 20; round++) {
      await use(w, 'a', 'b', 'c', 'big');
      w.clock.advance(900_000);
    }
    const loads = w.script.count('load small');
    expect([loads > 3, loads < 12]).toEqual([true, true]);
    expect(stateOf(w, 'small')).toBe('Compiled');
  });

  it('so no request misses that hits without prefetches', async () => {
    const names = ['a', 'b', 'c', 'd', 'e', 'f'] as const;
    const sizes = { a: 5, b: 10, c: 15, d: 20, e: 10, f: 5 };
    const name = fc.constantFrom(...names);
    const history = fc.array(fc.record({ name, next: fc.array(name, { maxLength: 3 }) }), { maxLength: 40 });
    await fc.assert(
      fc.asyncProperty(history, async (steps) => {
        const worlds = [world({ budgetBytes: 40, sizes }), node({ budgetBytes: 40, sizes })] as const;
        for (const w of worlds) w.residency.apply(names.map((one) => adapter(one)));
        for (const step of steps) {
          const [without, withThem] = worlds.map((w) => stateOf(w, step.name) === 'Resident');
          expect(withThem, step.name).toBe(without === true || withThem === true);
          for (const w of worlds) {
            await use(w, step.name);
            await expectNext(w, ...step.next);
            w.clock.advance(300_000);
          }
          expect(worlds[1].residency.usage().usedBytes).toBeLessThanOrEqual(40);
        }
      }),
      { numRuns: 150 },
    );
  });
});

describe('a download that nobody waits for', () => {
  const begun = async () => {
    const w = node();
    w.residency.apply([remote('a'), remote('b')]);
    const fetch = w.script.hold('fetch a');
    await expectNext(w, 'a');
    expect(stateOf(w, 'a')).toBe('Fetching');
    return { w, fetch };
  };

  it('makes way for one that somebody waits for, and is asked for anew', async () => {
    const { w } = await begun();
    await use(w, 'b');
    expect(states(w, 'a', 'b')).toEqual(['Remote', 'Resident']);
    await use(w, 'a');
    expect(stateOf(w, 'a')).toBe('Resident');
  });

  it('serves who comes to wait for it, and makes way for nobody from then on', async () => {
    const { w, fetch } = await begun();
    const waiting = acquire(w, 'a');
    await use(w, 'b');
    fetch.resolve();
    using lease = await waiting;
    expect([lease.name, w.script.count('fetch a')]).toEqual(['a', 1]);
    expect(w.residency.prefetched().disk.broughtBytes).toBe(0);
  });

  it('and that fails keeps no request from trying', async () => {
    const { w, fetch } = await begun();
    fetch.reject(away());
    await settle();
    expect(stateOf(w, 'a')).toBe('Remote');
    await use(w, 'a');
    expect(stateOf(w, 'a')).toBe('Resident');
  });

  it('and that fails once somebody waits for it has failed for them', async () => {
    const { w, fetch } = await begun();
    const waiting = acquire(w, 'a');
    fetch.reject(away());
    await expect(waiting).rejects.toThrow('it is away');
    expect(stateOf(w, 'a')).toBe('Failed');
  });

  it('ends with its adapter', async () => {
    const { w } = await begun();
    w.residency.apply([remote('b')]);
    await settle();
    expect(w.residency.facts().map((view) => view.key)).toEqual([key('b')]);
  });
});
