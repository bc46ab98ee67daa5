import { z } from 'zod';
import type { ArmCounts } from './counts.ts';

/** Number and sum of observations in each bucket, and the sum of squares over all of them, of one arm. */
export type Sums = {
  readonly counts: readonly number[];
  readonly sums: readonly number[];
  readonly squares: number;
};

export const measureSchema = z.enum(['errorRatio', 'latency', 'reward']);
export type Measure = z.infer<typeof measureSchema>;

/**
 * What is averaged. Latency is averaged as a logarithm: with heavy tails the plain mean takes many times the requests to
 * show the same slowdown (docs/explanation/judge.md has the numbers).
 */
export const sumsOf = (measure: Measure, arm: ArmCounts): Sums => {
  switch (measure) {
    case 'errorRatio':
      return { counts: arm.requests, sums: arm.errors, squares: arm.errors.reduce((a, b) => a + b, 0) };
    case 'latency':
      return {
        counts: arm.requests.map((requests, b) => requests - (arm.errors[b] ?? 0)),
        sums: arm.logLatency,
        squares: arm.logLatencySquares,
      };
    case 'reward':
      return { counts: arm.feedbacks, sums: arm.rewards, squares: arm.rewardSquares };
  }
};

/** A change that people write ("10 % slower" is 0.1) in the unit that is averaged. */
export const toUnit = (measure: Measure, change: number): number =>
  measure === 'latency' ? Math.log(1 + change) : change;

/** The reverse of {@link toUnit}. */
export const fromUnit = (measure: Measure, difference: number): number =>
  measure === 'latency' ? Math.exp(difference) - 1 : difference;
