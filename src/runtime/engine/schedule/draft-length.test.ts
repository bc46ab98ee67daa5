import { describe, expect, it } from 'vitest';
import { draftLength, StepCost } from './draft-length.ts';

const linear =
  (slope: number) =>
  (tokens: number): number =>
    1 + slope * (tokens - 1);

describe('the length of a draft', () => {
  it.each([
    ['nothing is likely', [0.1, 0.1], 0.2, 0],
    ['all of it is sure and further tokens cost little', [1, 1, 1, 1], 0.2, 4],
    ['it ends before what is unlikely', [0.95, 0.95, 0.1, 0.95], 0.2, 2],
    ['it goes on behind one that is less likely, for the sure ones after it', [0.5, 1, 1, 1, 1], 0.2, 5],
    ['a further token costs as much as a step', [1, 1, 1], 1, 0],
    ['it pays hardly', [0.24], 0.2, 0],
    ['there is none', [], 0, 0],
  ] as const)('where %s', (_, odds, slope, length) => {
    expect(draftLength(odds, linear(slope))).toBe(length);
  });

  it('is the one that gives most tokens per time, of all lengths', () => {
    const odds = [0.9, 0.7, 0.8, 0.3, 0.9, 0.2];
    for (const slope of [0.01, 0.1, 0.2, 0.4, 0.8]) {
      const rates = [0, 1, 2, 3, 4, 5, 6].map((length) => {
        const likely = odds.slice(0, length).map((_, at) => odds.slice(0, at + 1).reduce((a, b) => a * b));
        return (1 + likely.reduce((a, b) => a + b, 0)) / linear(slope)(length + 1);
      });
      const best = rates.indexOf(Math.max(...rates));
      expect(draftLength(odds, linear(slope))).toBe(rates[best]! > 1.05 ? best : 0);
    }
  });
});

describe('the cost of a step of several tokens', () => {
  const known = (): StepCost => {
    const cost = new StepCost();
    for (let step = 0; step < 3; step += 1) cost.ran(1, 10);
    return cost;
  };

  it('is not known before some steps of one token', () => {
    const cost = new StepCost();
    cost.ran(4, 20);
    cost.ran(1, 10);
    cost.ran(1, 10);
    expect(cost.isKnown).toBe(false);
    cost.ran(1, 10);
    expect(cost.isKnown).toBe(true);
  });

  it('is assumed before one was measured, and then measured', () => {
    const cost = known();
    expect(cost.of(1)).toBe(1);
    expect(cost.of(5)).toBe(2);
    cost.ran(5, 14);
    expect(cost.of(5)).toBeCloseTo(1.4);
    expect(cost.of(3)).toBeCloseTo(1.2);
  });

  it('is not that of one step that took long', () => {
    const cost = known();
    for (const ms of [14, 14, 400, 14, 14]) cost.ran(5, ms);
    expect(cost.of(5)).toBeCloseTo(1.4);
    cost.ran(1, 500);
    expect(cost.of(5)).toBeCloseTo(1.4);
  });

  it('is less than that of one token for nobody', () => {
    const cost = known();
    cost.ran(5, 2);
    expect(cost.of(5)).toBe(1);
  });

  it('is believed less and less while it keeps drafts from being run', () => {
    const cost = known();
    for (let step = 0; step < 4; step += 1) cost.ran(2, 1000);
    expect(cost.of(2)).toBeGreaterThan(50);
    for (let step = 0; step < 4 * 32; step += 1) cost.ran(1, 10);
    expect(cost.of(2)).toBe(1.25);
  });
});
