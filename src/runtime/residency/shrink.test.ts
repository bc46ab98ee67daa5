import * as fc from 'fast-check';
import { expect, it } from 'vitest';
import { adapter, key, never, settle, stateOf, world } from './fake-ports.ts';
import { aHolding as holding } from './room.fixture.ts';
import { planShrink } from './shrink.ts';

const leaving = (...given: Parameters<typeof planShrink<string>>): readonly string[] =>
  planShrink(...given).map(({ of }) => of);

it('what is there for requests alone leaves before what the plan wants, of both the weakest claim first, and no more than asked for', () => {
  const held = [
    holding('wanted', 10, { wanted: true }),
    holding('important', 10, { priority: 5 }),
    holding('old', 10, { lastUse: 1 }),
    holding('recent', 10, { lastUse: 9 }),
  ];
  expect(leaving(15, held)).toEqual(['old', 'recent']);
  expect(leaving(100, held)).toEqual(['old', 'recent', 'important', 'wanted']);
  expect(leaving(0, held)).toEqual([]);
});

it('what is in use, pinned, held, loading or on its way out stays', () => {
  const held = [
    holding('used', 10, { references: 1 }),
    holding('pinned', 10, { protected: true }),
    holding('loading', 10, { phase: 'loading' }),
    holding('gone', 10, { phase: 'leaving' }),
  ];
  expect(leaving(100, held)).toEqual([]);
});

it('whatever is held: after it each namespace has what is guaranteed to it, as far as it had it', () => {
  const anyHolding = fc
    .record({
      owner: fc.constantFrom('a', 'b', 'c'),
      bytes: fc.integer({ min: 1, max: 50 }),
      references: fc.nat(1),
      protected: fc.boolean(),
      wanted: fc.boolean(),
      phase: fc.constantFrom('resident' as const, 'loading' as const, 'leaving' as const),
    })
    .map(({ bytes, ...rest }) => holding('x', bytes, rest));
  const guarantees = fc.record({ a: fc.nat(100), b: fc.nat(100), c: fc.nat(100) });
  fc.assert(
    fc.property(fc.array(anyHolding, { maxLength: 12 }), guarantees, fc.nat(400), (held, given, bytes) => {
      const guaranteeOf = (owner: string): number => given[owner as 'a' | 'b' | 'c'];
      const shareOf = (owner: string) => ({ guarantee: guaranteeOf(owner), limit: Infinity });
      const left = new Set(planShrink(bytes, held, shareOf));
      for (const owner of ['a', 'b', 'c']) {
        const own = held.filter((one) => one.owner === owner && one.phase !== 'leaving');
        const before = own.reduce((sum, one) => sum + one.bytes, 0);
        const after = own.filter((one) => !left.has(one)).reduce((sum, one) => sum + one.bytes, 0);
        expect(after).toBeGreaterThanOrEqual(Math.min(before, guaranteeOf(owner)));
      }
    }),
  );
});

const use = async (w: ReturnType<typeof world>, ...names: readonly string[]): Promise<void> => {
  for (const name of names) {
    using _lease = await w.residency.acquire(key(name), { signal: never() });
  }
  await settle();
};

it('a budget that shrinks lets unused adapters go, one that grows lets wanted ones come back', async () => {
  const w = world({ budgetBytes: 100 });
  w.residency.apply([adapter('a'), adapter('b'), adapter('c', { tier: 'Memory' })]);
  await settle();
  await use(w, 'a', 'b');
  expect(w.residency.memoryUse()).toEqual({
    usedBytes: 30,
    sparableBytes: 30,
    leavingBytes: 0,
    largestBytes: 10,
  });
  w.residency.limitMemory(10);
  await settle();
  expect(['a', 'b', 'c'].map((name) => stateOf(w, name))).toEqual(['Compiled', 'Compiled', 'Resident']);
  w.residency.limitMemory(0);
  await settle();
  expect(stateOf(w, 'c')).toBe('Compiled');
  expect(w.residency.usage()).toMatchObject({ budgetBytes: 100, usedBytes: 0 });
  w.residency.limitMemory(100);
  await settle();
  expect(['a', 'b', 'c'].map((name) => stateOf(w, name))).toEqual(['Compiled', 'Compiled', 'Resident']);
});

it('an adapter that is in use stays while its budget shrinks', async () => {
  const w = world({ budgetBytes: 100 });
  w.residency.apply([adapter('a'), adapter('b')]);
  using _lease = await w.residency.acquire(key('a'), { signal: never() });
  w.residency.limitMemory(0);
  await settle();
  expect(stateOf(w, 'a')).toBe('Resident');
});

it('a request whose adapter finds no room because memory is short is told so, and when to come again', async () => {
  const w = world({ budgetBytes: 100 });
  w.residency.apply([adapter('a')]);
  w.residency.limitMemory(5);
  await expect(w.residency.acquire(key('a'), { signal: never() })).rejects.toMatchObject({
    code: 'MEMORY_PRESSURE',
    retryAfterMs: 30_000,
  });
  w.residency.limitMemory(500);
  await use(w, 'a');
  expect(stateOf(w, 'a')).toBe('Resident');
});

it('that an adapter finds no room is told once, though it stays where it is', async () => {
  const w = world({ budgetBytes: 100 });
  let told = 0;
  w.residency.onNoted(() => {
    told += 1;
  });
  w.residency.apply([adapter('a')]);
  w.residency.limitMemory(5);
  const asked = () => w.residency.acquire(key('a'), { signal: never() });
  for (let time = 0; time < 2; time += 1)
    await expect(asked()).rejects.toMatchObject({ code: 'MEMORY_PRESSURE' });
  expect(told).toBe(1);
  expect(w.residency.facts()[0]).toMatchObject({
    state: 'Compiled',
    message: expect.stringContaining('bytes'),
  });
});

it('one that would not fit the whole budget either is not told to come again', async () => {
  const w = world({ budgetBytes: 100, sizes: { huge: 101 } });
  w.residency.apply([adapter('huge')]);
  w.residency.limitMemory(50);
  await expect(w.residency.acquire(key('huge'), { signal: never() })).rejects.toMatchObject({
    code: 'ADAPTER_NOT_AVAILABLE',
    message: expect.stringContaining('RESIDENCY_BUDGET'),
  });
});

it('with one adapter at a time a request finds no more room than memory that is short leaves', async () => {
  for (const bytes of [0, 5]) {
    const w = world({ budgetBytes: 100, oneAdapter: true });
    w.residency.apply([adapter('a'), adapter('b')]);
    w.residency.limitMemory(bytes);
    await expect(w.residency.acquire(key('a'), { signal: never() })).rejects.toMatchObject({
      code: 'MEMORY_PRESSURE',
    });
    w.residency.limitMemory(10);
    await use(w, 'a', 'b');
    expect(['a', 'b'].map((name) => stateOf(w, name))).toEqual(['Compiled', 'Resident']);
  }
});
