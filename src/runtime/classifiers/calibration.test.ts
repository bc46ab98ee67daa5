import { expect, it } from 'vitest';
import { calibrate, type Judged } from './calibration.ts';

const judged = (expected: string, label: string, score: number, doubt = ''): Judged => ({
  expected,
  labelled: { classifier: 'c', label, score, margin: score, scores: [], doubt },
  ms: score,
});

it('a calibration says how good the labels are, and what thresholds would do', () => {
  const found = calibrate(
    [
      judged('a', 'a', 0.9),
      judged('a', 'b', 0.55),
      judged('b', 'b', 0.35, 'low'),
      judged('none', 'a', 0.15, 'low'),
    ],
    ['a', 'b'],
    { minMargin: 0.1 },
  );
  expect(found).toMatchObject({
    count: 4,
    accuracy: 2 / 3,
    now: { coverage: 0.5, accuracy: 0.5 },
    confusion: { a: { a: 1, b: 1 }, b: { '': 1 }, none: { '': 1 } },
    p99Ms: 0.9,
  });
  const at = (least: number) => found.thresholds.find(({ minConfidence }) => minConfidence === least);
  expect([at(0), at(0.3), at(0.6), at(0.95)]).toEqual([
    { minConfidence: 0, coverage: 1, accuracy: 0.5 },
    { minConfidence: 0.3, coverage: 0.75, accuracy: 2 / 3 },
    { minConfidence: 0.6, coverage: 0.25, accuracy: 1 },
    { minConfidence: 0.95, coverage: 0 },
  ]);
});

it('nothing is calibrated without prompts', () => {
  expect(() => calibrate([], ['a'], { minMargin: 0 })).toThrow(RangeError);
});
