import { parseDuration } from '../api/duration.ts';
import type { Step } from '../api/rollout.ts';
import type { Draft, Standing } from './draft.ts';
import { hash64Hex } from './hash.ts';
import { isReadyFor } from './readiness.ts';
import { awaiting } from './standing.ts';
import type { Target } from './target.ts';

/** Time that counts is written down at least so often: a restart loses no more than this. */
export const checkpointMs = 30_000;

const stepText = ({ setWeight, pause, preload }: Step): string => {
  if (preload !== undefined) return `preload ${preload.successThreshold ?? ''}`;
  return setWeight === undefined ? `pause ${pause?.duration ?? ''}` : `setWeight ${setWeight}`;
};

/** Changes when the steps do; the order of keys in a manifest does not matter. */
export const stepsHash = (steps: readonly Step[]): string => hash64Hex(steps.map(stepText).join('\n'));

export const firstStep = (steps: readonly Step[]): NonNullable<Draft['step']> => ({
  index: 0,
  total: steps.length,
  hash: stepsHash(steps),
  elapsedMs: 0,
  promoted: false,
});

/** A duration in milliseconds; undefined: there is none. */
export const durationOf = (duration: string | undefined): number | undefined => {
  if (duration === undefined) return undefined;
  try {
    return parseDuration(duration);
  } catch {
    // The schema refuses such a field. Should one get here all the same, a person decides: a weight is never raised by mistake.
    return undefined;
  }
};

type Resolved = Extract<Target, { kind: 'Resolved' }>;

/**
 * Runs steps until one of them waits. `elapsedMs` is what passed since the last decision and counts for the present
 * pause only: the weight after it was not in force meanwhile.
 * Returns undefined when all steps are done.
 */
export const runSteps = (
  draft: Draft,
  steps: readonly Step[],
  { target, elapsedMs }: { readonly target: Resolved; readonly elapsedMs: number },
): Standing | undefined => {
  let state = draft.step ?? firstStep(steps);
  let passed = elapsedMs;
  for (let step = steps[state.index]; step !== undefined; step = steps[state.index]) {
    const waiting =
      step.pause === undefined || state.promoted ? undefined : waitIn(step.pause.duration, state, passed);
    if (waiting !== undefined) {
      draft.step = { ...state, elapsedMs: waiting.elapsedMs };
      return {
        phase: 'Paused',
        ...waiting.standing,
        message: `${waiting.standing.message}, canary at ${draft.weight} %`,
      };
    }
    if (step.preload !== undefined && !isReadyFor(target.fact, steps, state.index)) {
      draft.step = state;
      return awaiting(target);
    }
    if (step.setWeight !== undefined && step.setWeight !== draft.weight) {
      draft.events.push({
        reason: 'WeightSet',
        message: `canary from ${draft.weight} to ${step.setWeight} %`,
      });
      draft.weight = step.setWeight;
    }
    state = { ...state, index: state.index + 1, elapsedMs: 0, promoted: false };
    passed = 0;
  }
  return undefined;
};

type Wait = { readonly elapsedMs: number; readonly standing: Omit<Standing, 'phase'> };

const waitIn = (
  duration: string | undefined,
  state: NonNullable<Draft['step']>,
  passed: number,
): Wait | undefined => {
  const at = `step ${state.index + 1}/${state.total}`;
  const durationMs = durationOf(duration);
  const elapsedMs = state.elapsedMs + passed;
  if (durationMs === undefined) {
    const message = `${at} waits until somebody promotes`;
    return { elapsedMs, standing: { reason: 'AwaitingPromotion', message } };
  }
  const leftMs = durationMs - elapsedMs;
  if (leftMs <= 0) return undefined;
  const message = `${at} pauses for ${duration}`;
  return {
    elapsedMs,
    standing: { reason: 'StepPaused', message, requeueAfterMs: Math.min(leftMs, checkpointMs) },
  };
};
