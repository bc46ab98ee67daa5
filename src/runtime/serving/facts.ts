import type { ObjectKey } from '../../api/names.ts';
import { catalogue } from '../../errors/catalogue.ts';
import { isOnDisk, type State } from '../residency/lifecycle.ts';
import type { Residency } from '../residency/manager.ts';
import type { ServingFacts, Trouble } from '../routing/decision.ts';
import type { Guard } from './guard/guard.ts';
import type { Trials } from './guard/trials.ts';

/** What routing asks of this node at the moment of a request. */
export const servingFacts = (
  residency: Pick<Residency, 'serves' | 'state'>,
  guard: Pick<Guard, 'holdInForce'>,
  trials?: Pick<Trials, 'isPending'>,
): ServingFacts & Required<Pick<ServingFacts, 'isHere'>> => ({
  serves: (key, digest) => residency.serves(key, digest),
  // A canary that the disk does not know to be tried has no requests either.
  isHeld: (rolloutUid, digest) =>
    guard.holdInForce(rolloutUid, digest) !== undefined || trials?.isPending(rolloutUid, digest) === true,
  troubleOf: (rolloutUid, key, digest) => {
    const hold = guard.holdInForce(rolloutUid, digest);
    if (hold !== undefined) return { reason: hold.reason, isFinal: hold.cause === 'BreakGlass' };
    return refusalOf(residency.state(key));
  },
  isHere: (key, digest) => {
    const state = residency.state(key);
    return state !== undefined && isOnDisk(state) && state.digest === digest;
  },
});

/** What a node has of an adapter, for people. */
export const stateIn =
  (residency: Pick<Residency, 'state'>) =>
  (key: string): string => {
    const state = residency.state(key as ObjectKey);
    if (state === undefined) return 'not on this node';
    return state.kind === 'Failed' ? `Failed: ${state.failure.code}` : state.kind;
  };

/** It could not be brought, or has no room now: it is tried again by itself, and says nothing about the adapter. */
export const isAwaited = (state: State | undefined): boolean =>
  state?.kind === 'Failed' &&
  catalogue[state.failure.code].retry === 'Backoff' &&
  state.failure.code !== 'ENGINE_DOWN';

/** It does not serve, and is not tried again by itself, or only for a signature that somebody may add. */
export const isRefused = (state: State | undefined): boolean =>
  state?.kind === 'Failed' &&
  (catalogue[state.failure.code].retry !== 'Backoff' || state.failure.code.startsWith('SIGNATURE_'));

/**
 * A failure that is tried again by itself says nothing about the adapter, unless it is that of an engine that ends
 * again and again under its load.
 */
const refusalOf = (state: State | undefined): Trouble | undefined => {
  if (state?.kind !== 'Failed') return undefined;
  const { code, message } = state.failure;
  if (isAwaited(state)) return undefined;
  return { reason: `${code}: ${message}`, isFinal: true };
};
