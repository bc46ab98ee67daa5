import { z } from 'zod';
import {
  comparisonShape,
  conditionsShape,
  mannWhitneyShape,
  sampleRatioShape,
  sequentialShape,
  thresholdShape,
} from '../../api/analysis.ts';
import { measureSchema } from './measure.ts';

export const sequentialSchema = z.strictObject({
  type: z.literal('sequential'),
  measure: measureSchema,
  ...sequentialShape,
});
export type SequentialSpec = z.infer<typeof sequentialSchema>;

/** Without one of them, what does not meet the other is its opposite; with both, what meets neither is inconclusive. */
export const conditionsSchema = z.strictObject(conditionsShape);
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
    ...thresholdShape,
  })
  .refine((spec) => spec.success !== undefined || spec.failure !== undefined, {
    error: 'needs success, failure or both',
  });
export type ThresholdSpec = z.infer<typeof thresholdSchema>;

export const mannWhitneySchema = z.strictObject({ type: z.literal('mannWhitney'), ...mannWhitneyShape });
export type MannWhitneySpec = z.infer<typeof mannWhitneySchema>;

export const sampleRatioSchema = z.strictObject({ type: z.literal('sampleRatio'), ...sampleRatioShape });
export type SampleRatioSpec = z.infer<typeof sampleRatioSchema>;

export const rewardSchema = z.strictObject({ type: z.literal('reward'), ...comparisonShape });
export type RewardSpec = z.infer<typeof rewardSchema>;

export const judgeSpecSchema = z.discriminatedUnion('type', [
  sequentialSchema,
  thresholdSchema,
  mannWhitneySchema,
  sampleRatioSchema,
  rewardSchema,
]);
export type JudgeSpec = z.infer<typeof judgeSpecSchema>;

/**
 * The judges of a rollout that names none. The two that can roll back share the chance of a false alarm: a canary that is
 * like stable is aborted with a chance of at most 5 % over both metrics and all looks.
 */
export const defaultJudges: Readonly<Record<'errorRatio' | 'latency' | 'sampleRatio', JudgeSpec>> = {
  errorRatio: judgeSpecSchema.parse({ type: 'sequential', measure: 'errorRatio', alpha: 0.025 }),
  latency: judgeSpecSchema.parse({
    type: 'sequential',
    measure: 'latency',
    alpha: 0.025,
    allowedIncrease: 0.1,
  }),
  sampleRatio: judgeSpecSchema.parse({ type: 'sampleRatio' }),
};
