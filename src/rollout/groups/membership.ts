import { hash } from 'node:crypto';
import { type GroupStatus, groupPoints } from '../../api/group-status.ts';
import { amountOf, type Group } from '../../api/groups.ts';
import { selects } from '../../api/selector.ts';

/**
 * Where a runtime falls among those of a rollout, 0 to 2^48 - 1: the first 48 bits of the sha256 of both names. It does
 * not depend on who else is there. `runtime`: namespace/name of its AdapterRuntime.
 */
export const groupPointOf = (rolloutUid: string, runtime: string): number =>
  Number.parseInt(hash('sha256', `${rolloutUid}\0${runtime}`, 'hex').slice(0, 12), 16);

/** A runtime as groups look at it, with its {@link groupPointOf}. */
export type Candidate = { readonly point: number; readonly labels: Readonly<Record<string, string>> };

/** What of a group says who is in it. */
export type Bounds = Pick<GroupStatus, 'selector' | 'reach'>;

/**
 * The group that a runtime is in: the first that has begun, whose selector matches it and which reaches its point.
 * Undefined: none has, yet.
 *
 * Guarantees: one group at most; nobody else's coming or going changes the answer, and a group that begins takes nobody
 * from one that has begun.
 */
export const groupOf = <G extends Bounds>(
  groups: readonly G[],
  { point, labels }: Candidate,
): G | undefined => groups.find(({ reach, selector }) => point < reach && selects(selector, labels));

/** True when the group, which it is in, has given it the canary. */
export const isOpenTo = ({ open }: Pick<GroupStatus, 'open'>, { point }: Candidate): boolean =>
  open === undefined || point < open;

/** False: nobody is in the group, nor will be, as it succeeded without a runtime. */
export const isInhabited = ({ phase, reach }: Pick<GroupStatus, 'phase' | 'reach'>): boolean =>
  phase !== 'Succeeded' || reach > 0;

export type Entrant = Candidate & { readonly isConnected: boolean };

/**
 * How far a group reaches that begins now, so that the runtimes below are as many as its limit says: the ones that are
 * not connected count, as they get the canary when they come. One connected runtime is in it at least. 0: there is none.
 *
 * @param begun groups that have begun
 * @param known every runtime of the rollout
 */
export const reachOf = (
  { selector, limit }: Pick<Group, 'selector' | 'limit'>,
  begun: readonly Bounds[],
  known: readonly Entrant[],
): number => {
  const matching = known.filter(({ labels }) => selects(selector, labels));
  const free = matching
    .filter((runtime) => groupOf(begun, runtime) === undefined)
    .toSorted((a, b) => a.point - b.point);
  const firstConnected = free.findIndex(({ isConnected }) => isConnected);
  if (firstConnected < 0) return 0;
  if (limit === undefined) return groupPoints;
  const max = Math.min(amountOf(limit, matching.length), free.length);
  return (free[Math.max(max - 1, firstConnected)]?.point ?? 0) + 1;
};
