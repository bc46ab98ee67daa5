import * as fc from 'fast-check';
import { expect, it } from 'vitest';
import { FakeClock } from '../../../time/fake-clock.ts';
import { maxOverlapMs, OverlapBudget, overlapShare } from './overlap.ts';

it('copies are beside requests for a small share of the time, whatever comes and goes', () => {
  const turn = fc.record({ wants: fc.boolean(), ms: fc.integer({ min: 1, max: 20_000 }) });
  fc.assert(
    fc.property(fc.array(turn, { maxLength: 100 }), (turns) => {
      const clock = new FakeClock();
      const budget = new OverlapBudget(clock);
      let [beside, all] = [0, 0];
      for (const { wants, ms } of turns) {
        const has = wants && budget.mayBegin ? Math.min(ms, budget.endsInMs) : 0;
        budget.set(has > 0);
        clock.advance(has);
        budget.set(false);
        clock.advance(ms - has);
        beside += has;
        all += ms;
      }
      expect(beside).toBeLessThanOrEqual(maxOverlapMs + all * overlapShare + 1e-6);
    }),
  );
});

it('a copy may begin again once enough time was saved up, and no more than that is ever saved', () => {
  const clock = new FakeClock();
  const budget = new OverlapBudget(clock);
  budget.set(true);
  clock.advance(budget.endsInMs);
  budget.set(false);
  expect([budget.mayBegin, budget.endsInMs]).toEqual([false, expect.closeTo(0, 6)]);
  clock.advance(maxOverlapMs / overlapShare / 2 - 1);
  expect(budget.mayBegin).toBe(false);
  clock.advance(2);
  expect(budget.mayBegin).toBe(true);
  clock.advance(1e9);
  expect(budget.endsInMs).toBeCloseTo(maxOverlapMs / (1 - overlapShare));
});
