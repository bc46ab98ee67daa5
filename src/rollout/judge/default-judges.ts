import { type JudgeSpec, judgeSpecSchema } from './spec.ts';

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
