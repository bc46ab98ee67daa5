import * as fc from 'fast-check';
import { expect, it } from 'vitest';
import { type FakeParts, FakeSequence, startScheduler, turns } from './scheduler.fixture.ts';

/** Of a client that sends all that it can. */
const greedy: fc.Arbitrary<FakeParts> = fc.record({
  prompt: fc.integer({ min: 1, max: 600 }),
  answer: fc.integer({ min: 1, max: 60 }),
  loadedBytes: fc.constantFrom(0, 0, 2 ** 28),
  flow: fc.record({
    namespace: fc.constant('greedy'),
    tenant: fc.constantFrom('t1', 't2'),
    adapter: fc.constantFrom('x', 'y', null),
    priority: fc.constantFrom(0, 0, 1),
  }),
});
const modest = fc.record({
  prompt: fc.integer({ min: 2, max: 300 }),
  answer: fc.integer({ min: 1, max: 30 }),
  loadedBytes: fc.constantFrom(0, 2 ** 28),
  /** Steps of others before it comes. */
  after: fc.integer({ min: 0, max: 25 }),
});
const settings = fc.record({
  maxConcurrent: fc.integer({ min: 1, max: 6 }),
  maxDecodeStallMs: fc.constantFrom(10, 100),
});

/** For each step that a sequence took part in, how many steps of others were between it and the one before. */
const waitsOf = (log: readonly string[], id: number, from: number): number[] => {
  const waits: number[] = [];
  let others = 0;
  for (const step of log.slice(from)) {
    const [kind = '', ...ids] = step.split(' ');
    if (kind === 'pause') continue;
    if (ids.includes(String(id))) {
      waits.push(others);
      others = 0;
    } else others += 1;
  }
  return waits;
};

it('a request within the guarantee of its namespace waits for one step of others, then for two before each of its own, whatever a greedy one sends', async () => {
  let contended = 0;
  await fc.assert(
    fc.asyncProperty(
      settings,
      fc.array(greedy, { minLength: 64, maxLength: 64 }),
      fc.array(modest, { minLength: 1, maxLength: 6 }),
      async (options, flood, requests) => {
        const { batch, log, scheduler, submit, kinds } = startScheduler({
          ...options,
          maxQueue: 200,
          pausesPrompts: true,
        });
        for (const [id, parts] of flood.entries()) submit(new FakeSequence(id, parts));
        for (const [at, { after, ...parts }] of requests.entries()) {
          await turns(after);
          const id = 1_000 + at;
          const before = log.length;
          const isContended = batch.placed.size > 0;
          submit(new FakeSequence(id, { ...parts, flow: { namespace: 'modest', guaranteed: 1 } }));
          for (let turn = 0; kinds()[id] === undefined && turn < 5_000; turn += 1) await turns(1);
          expect(kinds()[id]).toBe('complete');
          const [first, ...later] = waitsOf(log, id, before);
          expect(first).toBeLessThanOrEqual(1);
          expect(Math.max(0, ...later)).toBeLessThanOrEqual(2);
          expect(log).not.toContain(`pause ${id}`);
          if (isContended) contended += 1;
        }
        scheduler.stop();
        await turns(3);
      },
    ),
    { numRuns: 30 },
  );
  expect(contended).toBeGreaterThan(30);
});
