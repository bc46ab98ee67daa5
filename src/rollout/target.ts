import type { BoundAdapter, RolloutStatus } from '../api/rollout-status.ts';
import type { AdapterFact } from './facts.ts';

/** What spec.adapter means now. */
export type Target =
  /** There is no such Adapter. */
  | { readonly kind: 'Missing'; readonly name: string }
  /** It is there, but its content is not known yet. */
  | { readonly kind: 'Unresolved'; readonly name: string; readonly fact: AdapterFact }
  /** `fact` is absent only for a stable whose object was removed. */
  | { readonly kind: 'Resolved'; readonly bound: BoundAdapter; readonly fact: AdapterFact | undefined };

/**
 * Finds out what spec.adapter means. A digest, once bound to a uid, is fixed: what the status remembers fills in while
 * a restarted node has not resolved it again, so that a rollback never waits for a registry. What is barred is not gone back to.
 */
export const targetOf = (
  name: string,
  fact: AdapterFact | undefined,
  status: Pick<RolloutStatus, 'stable' | 'canary' | 'history'> | undefined,
): Target => {
  const { stable, canary, history = [] } = status ?? {};
  if (fact === undefined) {
    // Going back to stable must work although its object is gone: it still serves.
    return stable?.adapter === name ? { kind: 'Resolved', bound: stable, fact } : { kind: 'Missing', name };
  }
  const { uid, isBarred = false } = fact;
  const bound = [stable, canary, ...(isBarred ? [] : history)];
  const digest = fact.digest ?? bound.find((known) => known?.uid === uid)?.digest;
  return digest === undefined
    ? { kind: 'Unresolved', name, fact }
    : { kind: 'Resolved', bound: { adapter: name, uid, digest }, fact };
};
