import { namespaceOf } from '../../api/names.ts';
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

/** A request waits for it. */
export const isAskedFor = (entry: Entry): boolean => urgencyOf(entry) === 'request';

/** Waits for room and may put others out for it; the rest take only room that nobody has a better claim to. */
export const isPatient = (entry: Entry): boolean => {
  const urgency = urgencyOf(entry);
  return urgency === 'request' || urgency === 'rollout';
};

/**
 * Adapters that were sorted by urgency, with namespaces in turns among those that requests wait for: each one's first, then each
 * one's second. However many one asks for, the next one of another is not behind all of them.
 */
export const inTurns = (sorted: readonly Entry[]): readonly Entry[] => {
  const before = new Map<string, number>();
  const placed = sorted.map((entry) => {
    if (!isAskedFor(entry)) return { entry, turn: Infinity };
    const owner = namespaceOf(entry.key);
    const turn = before.get(owner) ?? 0;
    before.set(owner, turn + 1);
    return { entry, turn };
  });
  return placed.toSorted((a, b) => (a.turn === b.turn ? 0 : a.turn - b.turn)).map(({ entry }) => entry);
};
