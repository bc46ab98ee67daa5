import type { AnalysisSpec } from '../api/analysis.ts';
import type { Step } from '../api/rollout.ts';
import { besideAnew, needsPerson } from './analysis/analyses.ts';
import type { Draft } from './draft.ts';
import { giveUp, nextAttempt, rolledBackByHand } from './moves.ts';
import { isRequestVerb, type RequestVerb, type RolloutRequest, requestText } from './request.ts';
import { firstStep } from './step-state.ts';

/** The verb of a request that was not answered before; it counts as answered from here on. */
export const takeRequest = (draft: Draft, request: RolloutRequest | undefined): RequestVerb | undefined => {
  if (request === undefined || requestText(request) === draft.lastHandledRequest) return undefined;
  draft.lastHandledRequest = requestText(request);
  draft.lastRefusal = undefined;
  if (isRequestVerb(request.verb)) return request.verb;
  refuse(draft, request.verb, 'there is no such verb');
  return undefined;
};

export const refuse = (draft: Draft, verb: string, why: string): void => {
  draft.lastRefusal = `${verb}: ${why}`;
  draft.events.push({ reason: 'RequestRefused', message: draft.lastRefusal });
};

/** Applies a verb to a canary that was under way before this decision. */
export const applyVerb = (
  draft: Draft,
  verb: RequestVerb,
  {
    steps,
    edited,
    background,
    now,
  }: {
    readonly steps: readonly Step[];
    /** They, or the groups, are not those that the canary was going through. */
    readonly edited: boolean;
    /** What is measured beside the steps. */
    readonly background: AnalysisSpec | undefined;
    /** Wall time, RFC 3339. */
    readonly now: string;
  },
): void => {
  switch (verb) {
    case 'abort':
      if (draft.abort === undefined) giveUp(draft, 'aborted by hand', now);
      else refuse(draft, verb, 'the canary was given up already');
      return;
    case 'rollback':
      // What it asks for is the case when the guard was faster: nobody in a hurry needs an error then.
      giveUp(draft, rolledBackByHand, now);
      return;
    case 'retry':
      if (draft.abort === undefined) {
        refuse(draft, verb, 'nothing was aborted');
        return;
      }
      draft.abort = undefined;
      draft.completionStatus = undefined;
      if (draft.canary !== undefined) draft.canary = { ...draft.canary, attempt: nextAttempt(draft) };
      draft.analysis = [];
      draft.analyses = [];
      draft.step = firstStep(steps);
      draft.events.push({ reason: 'Retried', message: 'the canary starts again at the first step' });
      return;
    case 'promote':
      promote(draft, steps, needsPerson(background, draft.analysis));
      return;
    case 'promote-full':
      promoteFully(draft, steps, edited);
  }
};

const givenUpAlready = 'the canary was given up; retry starts it again';

/** `isAsked`: the rollout waits for a word about what is measured beside the steps. */
const promote = (draft: Draft, steps: readonly Step[], isAsked: boolean): void => {
  const { step } = draft;
  const { pause, analysis } = steps[step?.index ?? 0] ?? {};
  if (draft.abort !== undefined) refuse(draft, 'promote', givenUpAlready);
  else if (isAsked) {
    // The person answers what was asked: a pause that is under way goes on.
    draft.analysis = besideAnew(draft.analysis);
    draft.events.push({
      reason: 'StepPromoted',
      message: 'what was measured beside the steps is measured anew',
    });
  } else if (step === undefined || (pause === undefined && analysis === undefined))
    refuse(draft, 'promote', 'no pause and no analysis is under way');
  else if (step.promoted) refuse(draft, 'promote', 'the step was ended already');
  else if (asked(draft, step.index) && isEndless(steps[step.index + 1])) {
    // The person has looked just now: the pause in which the same is asked goes by as well.
    draft.step = { ...step, index: step.index + 1, elapsedMs: 0, promoted: true };
    const message = `the analysis of step ${step.index + 1}/${step.total} ends, and the pause after it`;
    draft.events.push({ reason: 'StepPromoted', message });
  } else {
    // Acts in this decision, or as soon as the canary is Resident and nobody pauses the rollout any more.
    draft.step = { ...step, promoted: true };
    draft.events.push({
      reason: 'StepPromoted',
      message: `the ${pause === undefined ? 'analysis' : 'pause'} of step ${step.index + 1}/${step.total} ends`,
    });
  }
};

/** A metric of the step needs a person. */
const asked = ({ analysis }: Draft, index: number): boolean =>
  analysis.some(({ step, phase }) => step === index && phase !== 'Running' && phase !== 'Success');

const isEndless = (step: Step | undefined): boolean =>
  step?.pause !== undefined && step.pause.duration === undefined;

/** Goes past all steps. Like a promote, it acts as soon as the canary is ready and nobody pauses the rollout. */
const promoteFully = (draft: Draft, steps: readonly Step[], edited: boolean): void => {
  // What was skipped before an edit were other steps.
  const step = (edited ? undefined : draft.step) ?? firstStep(steps);
  if (draft.abort !== undefined) refuse(draft, 'promote-full', givenUpAlready);
  else if (step.full === true) refuse(draft, 'promote-full', 'the remaining steps were skipped already');
  else {
    draft.step = { ...firstStep(steps), index: steps.length, full: true };
    const message = `skips what remains from step ${Math.min(step.index + 1, step.total)}/${step.total} on`;
    draft.events.push({ reason: 'StepsSkipped', message });
  }
};
