import { type Condition, conditionOf } from '../api/condition.ts';
import { timeOf } from './rollouts.ts';
import type { Page, Waiting } from './views.ts';

/** Pauses that only a person ends. */
const endlessPauses: ReadonlySet<string> = new Set([
  'AwaitingPromotion',
  'AwaitingVerdict',
  'GroupFailed',
  'PausedBySpec',
]);
/** What a policy refuses until somebody changes the object or the policy. */
const refusals: ReadonlySet<string> = new Set([
  'SourceNotAllowed',
  'TooManyAdapters',
  'PolicyInvalid',
  'NotAllowed',
]);

const isForPerson = ({ type, status, reason }: Condition): boolean => {
  if (type === 'Paused') return status === 'True' && endlessPauses.has(reason);
  if (type === 'Accepted') return status === 'False' && refusals.has(reason);
  if (type === 'Cordoned') return status === 'True' && reason === 'CordonedBySpec';
  // By its meaning: it does not get there by itself.
  return (type === 'Stalled' || type === 'RemovalsHeld' || type === 'Held') && status === 'True';
};

/** What of an object waits for a person, by its conditions: each reason once. */
export const waitingOf = (
  kind: Waiting['kind'],
  key: string,
  conditions: readonly Condition[] | undefined,
): Waiting[] => {
  const found = new Map<string, Waiting>();
  // What a runtime did before it went away is not known to be so still.
  const isAway = conditionOf(conditions, 'Connected')?.status === 'False';
  for (const condition of conditions ?? []) {
    const { type, reason, message, lastTransitionTime } = condition;
    if (!isForPerson(condition) || found.has(reason) || (isAway && type === 'Stalled')) continue;
    const since = timeOf(lastTransitionTime);
    found.set(reason, { kind, key, reason, message, ...(since === undefined ? {} : { since }) });
  }
  return [...found.values()];
};

/** Asked for by a person, who knows of it: after all that asks for one. */
const asked: ReadonlySet<string> = new Set(['CordonedBySpec', 'HeldBySpec', 'PausedBySpec']);

/** Those that have waited longest come first, and last what a person asked for. */
export const waitingPage = (all: readonly Waiting[], limit: number): Page<Waiting> => ({
  total: all.length,
  items: all
    .toSorted(
      (a, b) =>
        Number(asked.has(a.reason)) - Number(asked.has(b.reason)) ||
        (a.since ?? 0) - (b.since ?? 0) ||
        (a.key < b.key ? -1 : 1),
    )
    .slice(0, limit),
});
