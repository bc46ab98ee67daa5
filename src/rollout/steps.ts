import { percentOf } from '../api/percent.ts';
import type { Step } from '../api/rollout.ts';
import type { Analyses } from './analysis/analyses.ts';
import { standingOfAnalysis } from './analysis/step.ts';
import type { Draft, Standing } from './draft.ts';
import type { AdapterFact } from './facts.ts';
import { awaiting, awaitingAnalysis } from './standing.ts';
import { checkpointMs, durationOf, firstStep, sharesText } from './step-state.ts';
import type { Target } from './target.ts';

/** Percent of the connected runtimes that must be ready at a step: what the last preload up to it says. */
const thresholdAt = (steps: readonly Step[], index: number): number => {
  const { successThreshold } = steps.slice(0, index + 1).findLast((step) => step.preload)?.preload ?? {};
  return successThreshold === undefined ? 100 : percentOf(successThreshold);
};

/** True when enough runtimes have the canary Resident for the step. One at least: nobody is not enough of anything. */
export const isReadyFor = (fact: AdapterFact | undefined, steps: readonly Step[], index: number): boolean => {
  if (fact?.state !== 'Pending') return fact?.state === 'Resident';
  const { ready = 0, connected = 0 } = fact.runtimes ?? {};
  return ready > 0 && ready * 100 >= connected * thresholdAt(steps, index);
};

type Resolved = Extract<Target, { kind: 'Resolved' }>;

export type StepsInput = {
  readonly target: Resolved;
  readonly elapsedMs: number;
  readonly analyses: Analyses;
  /** Wall time, RFC 3339. */
  readonly now: string;
};

/**
 * Runs steps until one of them waits. `elapsedMs` is what passed since the last decision and counts for the present
 * pause only: the weight after it was not in force meanwhile.
 * Returns undefined when all steps are done.
 */
export const runSteps = (
  draft: Draft,
  steps: readonly Step[],
  { target, elapsedMs, analyses, now }: StepsInput,
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
        message: `${waiting.standing.message}, ${sharesText(draft)}`,
      };
    }
    if (step.analysis !== undefined && !state.promoted) {
      const spec = analyses.inForce(step.analysis);
      if (spec === undefined) return withoutAnalysis(draft, state, analyses);
      const standing = standingOfAnalysis(draft, spec, state, { elapsedMs: passed, analyses, now });
      if (standing !== undefined) return standing;
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
    const mirror = step.setMirrorRoute?.percentage;
    if (mirror !== undefined && mirror !== draft.mirror) {
      draft.events.push({ reason: 'MirrorSet', message: `mirrored from ${draft.mirror} to ${mirror} %` });
      draft.mirror = mirror;
    }
    state = { ...state, index: state.index + 1, elapsedMs: 0, promoted: false };
    passed = 0;
  }
  return undefined;
};

/** Nothing is skipped for want of what it should be judged by. */
const withoutAnalysis = (draft: Draft, state: NonNullable<Draft['step']>, analyses: Analyses): Standing => {
  const { shared } = analyses;
  if (shared.kind !== 'Missing') throw new RangeError('what the step refers to is there and was not copied');
  draft.step = state;
  return awaitingAnalysis(draft, shared);
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
