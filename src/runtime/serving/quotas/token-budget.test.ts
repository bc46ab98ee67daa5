import * as fc from 'fast-check';
import { expect, it } from 'vitest';
import { FakeClock } from '../../../time/fake-clock.ts';
import { TokenBudget } from './token-budget.ts';

it('holds the tokens of a minute, fills evenly, and says when there is one again', () => {
  const clock = new FakeClock();
  const budget = new TokenBudget(clock, 600);
  expect(budget.waitMs).toBe(0);
  budget.take(600);
  expect(budget.waitMs).toBe(100);
  budget.take(300);
  expect(budget.waitMs).toBe(30_100);
  clock.advance(30_100);
  expect(budget.waitMs).toBe(0);
  clock.advance(600_000);
  expect(budget.level).toBe(600);
});

it('another number a minute leaves what was used', () => {
  const clock = new FakeClock();
  const budget = new TokenBudget(clock, 100);
  budget.take(90);
  budget.perMinute = 50;
  expect(budget.level).toBe(-40);
  budget.perMinute = 200;
  expect(budget.level).toBe(110);
});

it('of nothing a minute nothing comes', () => {
  const clock = new FakeClock();
  const budget = new TokenBudget(clock, 0);
  clock.advance(600_000);
  expect(budget.waitMs).toBeGreaterThan(0);
});

it('whoever waits as told never takes more than the tokens of the time and of one minute, and one answer', () => {
  const largest = 50;
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 1000 }),
      fc.array(fc.record({ tokens: fc.integer({ min: 1, max: largest }), pauseMs: fc.nat(20_000) })),
      (perMinute, answers) => {
        const clock = new FakeClock();
        const budget = new TokenBudget(clock, perMinute);
        const started = clock.monotonic();
        let taken = 0;
        for (const { tokens, pauseMs } of answers) {
          clock.advance(pauseMs);
          clock.advance(budget.waitMs);
          expect(budget.waitMs).toBe(0);
          budget.take(tokens);
          taken += tokens;
          const minutes = (clock.monotonic() - started) / 60_000;
          expect(taken).toBeLessThanOrEqual(perMinute * (minutes + 1) + largest);
        }
      },
    ),
  );
});
