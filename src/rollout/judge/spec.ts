import { z } from 'zod';
import { measureSchema } from './measure.ts';

/** Chance of a false alarm over the whole of a step, however often one looks. */
const alpha = z.number().min(0.0001).max(0.2);

const minSampleSize = z.int().min(10).max(1_000_000);

/**
 * Harm that is put up with. Error ratio and reward: in their own unit (0.01 is one percent of requests); latency: as a
 * share (0.1 is 10 % slower).
 */
const allowedIncrease = z.number().min(0).max(100);

const defaults = { alpha: 0.05, minSampleSize: 100 } as const;

export const sequentialSchema = z.strictObject({
  type: z.literal('sequential'),
  measure: measureSchema,
  /** The direction that is harm. Default: Decrease for reward, else Increase. */
  direction: z.enum(['Increase', 'Decrease']).optional(),
  alpha: alpha.default(defaults.alpha),
  allowedIncrease: allowedIncrease.default(0),
  minSampleSize: minSampleSize.default(defaults.minSampleSize),
});
export type SequentialSpec = z.infer<typeof sequentialSchema>;

/** At least one limit; a number on a limit is inside. */
export const rangeSchema = z
  .strictObject({ atMost: z.number().optional(), atLeast: z.number().optional() })
  .refine((range) => range.atMost !== undefined || range.atLeast !== undefined, {
    error: 'needs atMost, atLeast or both',
  });

/** Without one of them, what does not meet the other is its opposite; with both, what meets neither is inconclusive. */
export const conditionsSchema = z.strictObject({
  success: rangeSchema.optional(),
  failure: rangeSchema.optional(),
});
export type Conditions = z.infer<typeof conditionsSchema>;

export const thresholdSchema = z
  .strictObject({
    type: z.literal('threshold'),
    value: z.enum([
      'errorRatio',
      'latencyMean',
      'latencyP50',
      'latencyP90',
      'latencyP95',
      'latencyP99',
      'reward',
    ]),
    /** Canary: its own value. Difference: canary - stable. Ratio: canary / stable. */
    of: z.enum(['Canary', 'Difference', 'Ratio']).default('Canary'),
    ...conditionsSchema.shape,
    minSampleSize: minSampleSize.default(defaults.minSampleSize),
  })
  .refine((spec) => spec.success !== undefined || spec.failure !== undefined, {
    error: 'needs success, failure or both',
  });
export type ThresholdSpec = z.infer<typeof thresholdSchema>;

export const mannWhitneySchema = z.strictObject({
  type: z.literal('mannWhitney'),
  alpha: alpha.default(defaults.alpha),
  allowedIncrease: allowedIncrease.default(0),
  minSampleSize: minSampleSize.default(defaults.minSampleSize),
});
export type MannWhitneySpec = z.infer<typeof mannWhitneySchema>;

export const sampleRatioSchema = z.strictObject({
  type: z.literal('sampleRatio'),
  alpha: alpha.default(0.01),
  minSampleSize: minSampleSize.default(defaults.minSampleSize),
});
export type SampleRatioSpec = z.infer<typeof sampleRatioSchema>;

export const rewardSchema = z.strictObject({
  type: z.literal('reward'),
  alpha: alpha.default(defaults.alpha),
  /** A canary that is worse by no more than this passes. */
  allowedDecrease: z.number().min(0).max(1_000_000).default(0),
  minSampleSize: minSampleSize.default(defaults.minSampleSize),
});
export type RewardSpec = z.infer<typeof rewardSchema>;

export const judgeSpecSchema = z.discriminatedUnion('type', [
  sequentialSchema,
  thresholdSchema,
  mannWhitneySchema,
  sampleRatioSchema,
  rewardSchema,
]);
export type JudgeSpec = z.infer<typeof judgeSpecSchema>;
