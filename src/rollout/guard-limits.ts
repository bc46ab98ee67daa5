import { parseDuration } from '../api/duration.ts';
import { percentOf } from '../api/percent.ts';
import type { GuardSpec } from '../api/rollout.ts';

/** When the guard of a rollout trips, in numbers. */
export type GuardLimits = {
  readonly maxConsecutiveErrors: number;
  /** Percent of the requests in the window; absent: errors are not held against requests. */
  readonly maxErrorPercent?: number;
  /** Absent: nobody looks at latency. */
  readonly maxLatencyMs?: number;
  readonly minRequests: number;
  readonly windowMs: number;
};

/** What `spec.guard` asks for, with the defaults that its description promises. */
export const guardLimits = (spec: GuardSpec): GuardLimits => ({
  maxConsecutiveErrors: spec.maxConsecutiveErrors,
  ...(spec.maxErrorRatio === undefined ? {} : { maxErrorPercent: percentOf(spec.maxErrorRatio) }),
  ...(spec.maxLatency === undefined ? {} : { maxLatencyMs: parseDuration(spec.maxLatency) }),
  minRequests: spec.minRequests ?? 20,
  windowMs: parseDuration(spec.window ?? '60s'),
});
