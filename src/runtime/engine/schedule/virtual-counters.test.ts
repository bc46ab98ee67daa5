import * as fc from 'fast-check';
import { expect, it } from 'vitest';
import { maxRemembered, VirtualCounters } from './virtual-counters.ts';

const once = (counters: VirtualCounters<string>, key: string, cost: number): void => {
  counters.arrive(key);
  counters.start(key);
  counters.charge(key, cost);
  counters.finish(key);
};

it('however many come and go while one waits, a bounded number of counters is held', () => {
  const counters = new VirtualCounters<string>();
  counters.arrive('waits');
  for (let index = 0; index < 5_000; index += 1) once(counters, `t${index}`, 10 + (index % 7));
  expect(counters.size).toBeLessThanOrEqual(maxRemembered + 1);
});

it('who is forgotten never comes back with less than it left with', () => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.nat(600), fc.integer({ min: 1, max: 100 })), { minLength: 300, maxLength: 1_500 }),
      (uses) => {
        const counters = new VirtualCounters<string>();
        counters.arrive('waits');
        const left = new Map<string, number>();
        for (const [who, cost] of uses) {
          const key = `t${who}`;
          counters.arrive(key);
          expect(counters.of(key)).toBeGreaterThanOrEqual(left.get(key) ?? 0);
          counters.start(key);
          counters.charge(key, cost);
          left.set(key, counters.of(key));
          counters.finish(key);
        }
      },
    ),
    // Shrinking would take minutes: hundreds of shares are needed to forget any.
    { numRuns: 20, endOnFailure: true },
  );
});

it('who runs little beside others is lifted to them when it waits again', () => {
  const counters = new VirtualCounters<string>();
  for (const key of ['slow', 'busy', 'busy']) counters.arrive(key);
  counters.start('slow');
  counters.start('busy');
  counters.charge('busy', 100);
  counters.start('busy');
  counters.charge('slow', 1);
  counters.arrive('slow');
  expect(counters.of('slow')).toBe(100);
});

it('who has items under way is not lifted to where those newcomers begin who may have been forgotten', () => {
  const counters = new VirtualCounters<string>();
  for (const key of ['waits', 'runs']) counters.arrive(key);
  counters.start('runs');
  for (let index = 0; index <= maxRemembered; index += 1) once(counters, `t${index}`, 10);
  counters.arrive('newcomer');
  expect(counters.of('newcomer')).toBe(10);
  counters.arrive('runs');
  expect(counters.of('runs')).toBe(0);
});

it('nobody is idle while one waits or runs', () => {
  const counters = new VirtualCounters<string>();
  expect(counters.idle).toBe(true);
  counters.arrive('a');
  expect(counters.idle).toBe(false);
  counters.start('a');
  expect(counters.idle).toBe(false);
  counters.back('a');
  expect(counters.idle).toBe(false);
  counters.leave('a');
  expect(counters.idle).toBe(true);
});
