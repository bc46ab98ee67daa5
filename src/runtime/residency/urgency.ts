import type { Entry } from './entry.ts';

/** Who waits for a load, from the most to the least urgent. */
type Urgency = 'request' | 'rollout' | 'preload' | 'warm' | 'prefetch';
const order: Readonly<Record<Urgency, number>> = { request: 0, rollout: 1, preload: 2, warm: 3, prefetch: 4 };

const urgencyOf = (entry: Entry): Urgency => {
  for (const waiter of entry.waiters) if (waiter.kind === 'request') return 'request';
  if (entry.held || entry.waiters.size > 0) return 'rollout';
  if (entry.goal !== 'ram') return 'prefetch';
  return entry.wantedInRam || entry.pinned ? 'preload' : 'warm';
};

const firstArrival = (entry: Entry): number => {
  let first = Number.POSITIVE_INFINITY;
  for (const { kind, seq } of entry.waiters) if (kind === 'request') first = Math.min(first, seq);
  return first;
};

/** Sorts what is to be loaded first to the front. Requests in order of arrival, the rest by priority, then by last use. */
export const byUrgency = (a: Entry, b: Entry): number => {
  const [left, right] = [urgencyOf(a), urgencyOf(b)];
  if (left !== right) return order[left] - order[right];
  if (left === 'request') return firstArrival(a) - firstArrival(b);
  return b.priority - a.priority || b.lastUse - a.lastUse;
};

/** Waits for room and may put others out for it; the rest take only room that nobody has a better claim to. */
export const isPatient = (entry: Entry): boolean => {
  const urgency = urgencyOf(entry);
  return urgency === 'request' || urgency === 'rollout';
};
