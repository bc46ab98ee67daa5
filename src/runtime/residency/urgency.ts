import { namespaceOf } from '../../api/names.ts';
import type { Entry } from './entry.ts';

/** Who waits for a load, from the most to the least urgent. */
type Urgency = 'request' | 'rollout' | 'preload' | 'warm' | 'disk' | 'prefetch';
const order: Readonly<Record<Urgency, number>> = {
  request: 0,
  rollout: 1,
  preload: 2,
  warm: 3,
  disk: 4,
  prefetch: 5,
};

const urgencyOf = (entry: Entry): Urgency => {
  for (const waiter of entry.waiters) if (waiter.kind === 'request') return 'request';
  if (entry.held || entry.waiters.size > 0) return 'rollout';
  if (entry.prefetch !== undefined) return 'prefetch';
  if (entry.goal !== 'ram') return 'disk';
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
 * Namespaces take turns among the adapters that requests wait for. However many one asks for, the next one of another is not behind
 * all of them.
 */
export class Turns {
  /** By namespace, the one that had its turn last at the end. */
  readonly #had = new Set<string>();

  /** An adapter of it has got what it waited for. */
  took({ key }: Entry): void {
    const namespace = namespaceOf(key);
    this.#had.delete(namespace);
    this.#had.add(namespace);
  }

  /**
   * Adapters that were sorted by urgency: of those that requests wait for first the first one of each namespace, then the second
   * one of each, and so on; of namespaces that first whose turn is longest ago.
   */
  sort(sorted: readonly Entry[]): readonly Entry[] {
    const had = [...this.#had];
    const before = new Map<string, number>();
    return sorted
      .map((entry) => {
        if (!isAskedFor(entry)) return { entry, turn: Infinity, had: 0 };
        const namespace = namespaceOf(entry.key);
        const turn = before.get(namespace) ?? 0;
        before.set(namespace, turn + 1);
        return { entry, turn, had: had.indexOf(namespace) };
      })
      .toSorted((a, b) => (a.turn === b.turn ? a.had - b.had : a.turn - b.turn))
      .map(({ entry }) => entry);
  }
}
