import type { RolloutStatus } from '../../api/rollout-status.ts';
import { canServe } from '../fleet/adapter-at.ts';
import type { AdapterState } from '../fleet/fleet.ts';
import type { AdapterView, Member } from './view.ts';

/** The canary of a status, and the attempt that counts. */
export type Attempt = { readonly uid: string; readonly digest: string; readonly attempt: number };

/**
 * The canary whose reports count. A `retry` that is being answered begins the next attempt: what the runtimes reported of
 * the one before says nothing about it.
 */
export const attemptOf = (status: RolloutStatus | undefined, retrying: boolean): Attempt | undefined => {
  if (status?.canary === undefined) return undefined;
  const { uid, digest, attempt } = status.canary;
  return { uid, digest, attempt: attempt + (retrying ? 1 : 0) };
};

/** True when the runtime acts by this attempt of this canary. */
export const follows = ({ report }: Member, { digest, attempt }: Attempt): boolean =>
  report !== undefined && report.canaryDigest === digest && report.attempt >= attempt;

/** Same content: a failure may come before the runtime knows the digest, which the uid fixes. */
const isOf = (state: AdapterState, digest: string | undefined): boolean =>
  digest !== undefined && (state.digest === digest || (state.digest === '' && state.state === 'Failed'));

/** It has this content in RAM, or would have it for who asks. */
export const isReady = ({ target, isSilent }: Member, digest: string | undefined): boolean =>
  target !== undefined && canServe(target) && !isSilent && isOf(target, digest);

/** Refused for good, in the attempt that counts. */
export const isRefused = (member: Member, adapter: AdapterView, attempt: Attempt | undefined): boolean => {
  const { target } = member;
  if (target?.state !== 'Failed' || !target.isFinal || !isOf(target, adapter.digest)) return false;
  const isCanary = attempt?.uid === adapter.uid && attempt.digest === adapter.digest;
  return !isCanary || follows(member, attempt);
};

/** Holds back the canary of this attempt. One from a later attempt is of a former life of the canary, and in force. */
export const holdsOf = (member: Member, attempt: Attempt) =>
  follows(member, attempt)
    ? (member.report?.holds ?? []).filter((h) => h.digest === attempt.digest && h.attempt >= attempt.attempt)
    : [];

/** Why the guard of the runtime holds the canary back, if so. */
export const guardOf = (member: Member, attempt: Attempt): string | undefined =>
  holdsOf(member, attempt).find(({ cause }) => cause === 'Guard')?.reason;

export const isHeld = (member: Member, attempt: Attempt | undefined): boolean =>
  attempt !== undefined && holdsOf(member, attempt).length > 0;

/** It refused the adapter, or its guard took the canary out of service. */
export const isFailed = (
  member: Member,
  target: AdapterView | undefined,
  attempt: Attempt | undefined,
): boolean =>
  (target !== undefined && isRefused(member, target, attempt)) ||
  (attempt !== undefined && guardOf(member, attempt) !== undefined);
