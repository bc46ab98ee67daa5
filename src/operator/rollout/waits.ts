import { keysOf } from '../reconcile/runtime-sets.ts';
import { type Attempt, isFailed, isReady } from './attempt.ts';
import type { RolloutView } from './view.ts';

/** How long runtimes have been awaited, together, in one attempt of one adapter. */
export type Waits = {
  readonly of: string;
  /** Monotonic milliseconds of the last look. */
  readonly at: number;
  /** Milliseconds that each runtime was awaited until then, however often it was ready between; who never was is not in it. */
  readonly ms: ReadonlyMap<string, number>;
  /** Those that were awaited then. */
  readonly awaited: ReadonlySet<string>;
};

/** What is awaited: the target, in the attempt that is under way or that begins; undefined: nothing of runtimes. */
const awaitedOf = ({ rollout, target, nameConflict }: RolloutView, attempt: Attempt | undefined) => {
  const { stable, attempts = 0, abort } = rollout.status ?? {};
  if (target?.digest === undefined || !target.isKept || nameConflict !== undefined) return undefined;
  if (target.uid === stable?.uid && target.digest === stable.digest) return undefined;
  // Each group has its own deadline; the first adapter comes to all runtimes at once.
  if (rollout.spec.groups !== undefined && stable !== undefined) return undefined;
  const isBound = attempt?.uid === target.uid && attempt.digest === target.digest;
  if (isBound && abort !== undefined && attempt.attempt === rollout.status?.canary?.attempt) return undefined;
  return JSON.stringify([target.uid, target.digest, isBound ? attempt.attempt : attempts + 1]);
};

/**
 * One more look. A runtime that becomes ready and is lost again goes on where it was: it cannot hold a rollout up for longer
 * than the deadline in all. A new leader, whose first look it is, begins with what the status says.
 */
export const waitsOf = (
  before: Waits | undefined,
  view: RolloutView,
  attempt: Attempt | undefined,
  at: { readonly monotonic: number; readonly deadlineMs: number; readonly isFirst: boolean },
): Waits | undefined => {
  const of = awaitedOf(view, attempt);
  if (of === undefined || view.target === undefined) return undefined;
  const { target } = view;
  const known = before?.of === of ? before : undefined;
  const awaited = keysOf(
    view.members.filter(
      (member) =>
        member.isServing &&
        !member.isSilent &&
        !isReady(member, target.digest) &&
        !isFailed(member, target, attempt),
    ),
  );
  const { monotonic, deadlineMs, isFirst } = at;
  const written = isFirst ? writtenWaits(view, deadlineMs) : undefined;
  // With everybody ready, as most of the time, nothing is different.
  if (known !== undefined && known.awaited.size + awaited.length === 0) return { ...known, at: at.monotonic };
  const ms = new Map(known?.ms);
  for (const name of known?.awaited ?? [])
    ms.set(name, (ms.get(name) ?? 0) + Math.max(0, monotonic - (known?.at ?? monotonic)));
  for (const name of awaited) ms.set(name, ms.get(name) ?? written?.(name) ?? 0);
  return { of, at: monotonic, ms, awaited: new Set(awaited) };
};

/** What the leader before wrote down of waits, if the rollout still waits for the same. */
const writtenWaits = ({ rollout }: RolloutView, deadlineMs: number) => {
  const { status, metadata } = rollout;
  if (status?.observedGeneration !== metadata.generation) return undefined;
  const { progress, failures = [] } = status;
  const late = new Set(
    failures.filter(({ reason }) => reason === 'NotReadyInTime').map(({ runtime }) => runtime),
  );
  const waited = progress?.reason === 'AwaitingResident' ? progress.waitedMs : 0;
  // Where the rollout is late already, who is not named as late came later.
  const others = waited >= deadlineMs ? 0 : waited;
  return (name: string): number => (late.has(name) ? deadlineMs : others);
};

/** Who is awaited now and has been for the deadline. */
export const overdueOf = (waits: Waits | undefined, deadlineMs: number): ReadonlySet<string> =>
  new Set([...(waits?.awaited ?? [])].filter((name) => (waits?.ms.get(name) ?? 0) >= deadlineMs));

/** Milliseconds until somebody else who is awaited now will have been for the deadline; undefined: nobody. */
export const nextOverdueMs = (waits: Waits | undefined, deadlineMs: number): number | undefined => {
  const left = [...(waits?.awaited ?? [])].map((name) => deadlineMs - (waits?.ms.get(name) ?? 0));
  const next = Math.min(...left.filter((ms) => ms > 0));
  return Number.isFinite(next) ? next : undefined;
};
