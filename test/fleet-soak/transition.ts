import { wrongInGroups } from './group-transition.ts';
import type { SoakStep } from './names.ts';
import { type Pair, waitsPassed } from './pair.ts';

/** What the canary has at a step: the last weight that was set before it. */
export const weightAt = (steps: readonly SoakStep[], index: number): number =>
  steps.slice(0, index).findLast(({ setWeight }) => setWeight !== undefined)?.setWeight ?? 0;

type Content = { readonly uid: string; readonly digest: string };
const isSame = (a: Content | undefined, b: Content | undefined): boolean =>
  a !== undefined && b !== undefined && a.uid === b.uid && a.digest === b.digest;

/** The weight belongs to the step, and nobody who was given up has any. */
const weightOf = ({ after, steps }: Pair): string | undefined => {
  const { canary, abort, step, weights, groups } = after;
  // Each group has a weight of its own, also one that is through its steps.
  if (groups !== undefined && abort === undefined) return undefined;
  const isUp = canary !== undefined && abort === undefined && step !== undefined;
  const expected = isUp && step.full !== true ? weightAt(steps, step.index) : 0;
  if (isUp && step.full === true) return undefined;
  if (weights.canary !== expected)
    return `the canary has ${weights.canary} % at step ${step?.index ?? 'none'}, where it should have ${expected} %`;
  if (weights.stable !== 100 - weights.canary)
    return `stable has ${weights.stable} % beside ${weights.canary} %`;
  if (abort !== undefined && abort.reason === '') return 'an abort has no reason';
  return undefined;
};

const growing = ['revision', 'leaderEpoch', 'attempts', 'observedGeneration'] as const;

const falls = ({ before, after }: Pair): string | undefined => {
  const fallen = growing.find((field) => (after[field] ?? 0) < (before[field] ?? 0));
  return fallen && `${fallen} fell from ${before[fallen]} to ${after[fallen]}`;
};

/** Decisions that are lost or made twice show in the numbers that grow by one. */
const jumps = ({ before, after, isNext }: Pair): string | undefined => {
  if (!isNext) return undefined;
  for (const field of ['revision', 'attempts'] as const) {
    const grown = (after[field] ?? 0) - (before[field] ?? 0);
    if (grown > 1) return `${field} grew by ${grown} in one write`;
  }
  return undefined;
};

/** One canary in one attempt: its steps are gone through one by one, and never back. */
const onTheWay = (pair: Pair): string | undefined => {
  const { before, after, steps, isNext } = pair;
  const [from, to] = [before.step, after.step];
  if (before.groups !== undefined || after.groups !== undefined) return wrongInGroups(pair);
  if (from === undefined || to === undefined || from.hash !== to.hash) return undefined;
  if (to.index < from.index) return `the step fell from ${from.index} to ${to.index}`;
  if (before.abort !== undefined && after.abort === undefined)
    return 'an abort was forgotten without a retry';
  if (to.full === true || !isNext) return undefined;
  const passed = waitsPassed(steps, from.index + 1, to.index);
  return passed > 0
    ? `${passed} steps that wait were left out on the way from ${from.index} to ${to.index}`
    : undefined;
};

/** The canary of before is gone, and nobody took its place. */
const ended = (pair: Pair): string | undefined => {
  const { before, after, steps, isNext } = pair;
  if (isSame(after.stable, before.canary)) {
    if (before.abort !== undefined && isNext) return 'a canary that was given up became stable';
    const { step } = before;
    const isShort = ['FastPromoted', 'FastRolledBack'].includes(after.completionStatus ?? '');
    if (!isNext || isShort || step === undefined || step.full === true) return undefined;
    // Where all groups but the last one are through, that one ends in the same decision.
    const open = before.groups?.filter(({ phase, reach }) => phase !== 'Succeeded' && reach > 0) ?? [];
    if (open.length > 1) return `it became stable with ${open.length} groups under way`;
    if (open.some(({ phase }) => phase !== 'Progressing') || (before.groups && open.length === 0))
      return undefined;
    const left = waitsPassed(steps, step.index + 1, steps.length);
    return left > 0 ? `it became stable with ${left} steps that wait before it` : undefined;
  }
  return isNext ? strange(pair) : undefined;
};

/** Without a canary that became it, another stable is one of lately that came back, or the first. */
const strange = ({ before, after }: Pair): string | undefined => {
  const isKnown = before.stable === undefined || isSame(after.stable, before.stable);
  const isBack = after.completionStatus === 'FastRolledBack' && isSame(after.stable, before.history[0]);
  return isKnown || isBack
    ? undefined
    : `stable became ${after.stable?.adapter}, which was neither stable nor the canary`;
};

const changed = (pair: Pair): string | undefined => {
  const { before, after, isNext, steps } = pair;
  if (before.canary !== undefined && after.canary === undefined) return ended(pair);
  if (isSame(before.canary, after.canary) && before.canary?.attempt === after.canary?.attempt)
    return onTheWay(pair);
  if (!isNext) return undefined;
  if (after.canary === undefined) return strange(pair);
  // Another canary, or another attempt: it begins at the first step.
  const passed = waitsPassed(steps, 0, after.step?.index ?? 0);
  if (passed > 0 && after.step?.full !== true) return `it began after ${passed} steps that wait`;
  const wasStable = isSame(after.stable, before.stable) || isSame(after.stable, before.history[0]);
  return wasStable ? undefined : `stable changed to ${after.stable?.adapter} when a canary was bound`;
};

/** What a status must not have become; undefined: nothing is wrong. */
export const wrongIn = (pair: Pair): string | undefined =>
  falls(pair) ?? jumps(pair) ?? weightOf(pair) ?? changed(pair);
