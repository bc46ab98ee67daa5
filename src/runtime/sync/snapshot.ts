import type { ObjectKey } from '../../api/names.ts';
import { countsToWire } from '../../control/arm-counts.ts';
import { copiesToWire } from '../../control/copies-wire.ts';
import { elsewhereToWire } from '../../control/rewards-wire.ts';
import { catalogue, type ErrorCode } from '../../errors/catalogue.ts';
import type {
  AdapterReport,
  BaseModelReport,
  LimitReport,
  RemovalsHeld,
  RolloutReport,
  RouteClassifiers,
  Usage,
} from '../../gen/adaptlet/control/v1/control.ts';
import type { SplitResource } from '../../plan/resources.ts';
import type { ModelView, ProviderView, RuntimeStatus } from '../admin/views.ts';
import type { Classifiers } from '../classifiers/classifiers.ts';
import type { PlanInForce } from '../plan-source/plan-in-force.ts';
import type { AdapterView } from '../residency/adapter-view.ts';
import type { ServingFacts } from '../routing/decision.ts';
import { effectiveWeight } from '../routing/route.ts';
import type { CopyTally } from '../serving/counts/copy-tally.ts';
import type { ElsewhereRewards } from '../serving/counts/elsewhere-rewards.ts';
import type { ServedCounts } from '../serving/counts/served-counts.ts';
import type { SplitCounts } from '../serving/counts/split-counts.ts';
import type { Holds } from '../serving/guard/holds.ts';
import type { Quotas } from '../serving/quotas/quotas.ts';

/** All that a runtime tells an operator, at one moment. Keys are `namespace/name`. */
export type Snapshot = {
  readonly adapters: ReadonlyMap<string, AdapterReport>;
  readonly rollouts: ReadonlyMap<string, RolloutReport>;
  readonly memory: Usage;
  readonly disk: Usage;
  readonly ready: boolean;
  readonly message: string;
  readonly baseModel: BaseModelReport;
  readonly removalsHeld: RemovalsHeld | undefined;
  /** By namespace and limit. */
  readonly limits: ReadonlyMap<string, LimitReport>;
  /** By route. */
  readonly classifiers: ReadonlyMap<string, RouteClassifiers>;
};

export type SnapshotParts = {
  readonly plan: Pick<PlanInForce, 'table' | 'uidOf'>;
  readonly adapters: () => readonly AdapterView[];
  readonly holds: Pick<Holds, 'ofRollout'>;
  readonly counts: Pick<ServedCounts, 'atWeight'>;
  readonly splits: Pick<SplitCounts, 'reports'>;
  readonly mirrored: Pick<CopyTally, 'ofAttempt'>;
  readonly elsewhere: Pick<ElsewhereRewards, 'reports'>;
  readonly facts: ServingFacts;
  readonly memory: () => RuntimeStatus['memory'];
  readonly disk: () => RuntimeStatus['disk'];
  readonly ready: () => { readonly ok: boolean; readonly reason: string };
  readonly refused: () => ReturnType<Quotas['refused']>;
  readonly classifiers: Classifiers['states'];
  readonly model: () => ModelView & ProviderView & Pick<RuntimeStatus, 'baseDigest'>;
};

/** An earlier snapshot, where no adapter is other than it says, and no rollout but these may be. */
export type Since = { readonly last: Snapshot; readonly rollouts: ReadonlySet<ObjectKey> };

/** `since`: adapters, and rollouts that are not in it, are not looked at. */
export const takeSnapshot = (
  parts: SnapshotParts,
  removalsHeld: RemovalsHeld | undefined,
  since?: Since,
): Snapshot => {
  const { ok, reason } = parts.ready();
  return {
    adapters: since?.last.adapters ?? adaptersNow(parts),
    rollouts: since === undefined ? rolloutsNow(parts) : rolloutsSince(since, parts),
    memory: usage(parts.memory()),
    disk: usage(parts.disk()),
    ready: ok,
    message: reason,
    baseModel: modelReport(parts.model()),
    removalsHeld,
    limits: new Map(
      parts
        .refused()
        .map(({ namespace, limit, refused }) => [
          `${namespace}/${limit}`,
          { namespace, limit, refused: whole(refused) },
        ]),
    ),
    classifiers: new Map(
      [...parts.classifiers()].map(([key, of]) => [
        key,
        { key, classifiers: of.map((state) => ({ ...state })) },
      ]),
    ),
  };
};

const adaptersNow = ({ adapters, plan }: SnapshotParts): Snapshot['adapters'] =>
  new Map(
    adapters().flatMap((view) => {
      // Adapters of single users are not objects of a cluster: they are in no plan, and nobody else's business.
      const uid = plan.uidOf(view.key);
      return uid === undefined ? [] : [[view.key, adapterReport(view, uid)]];
    }),
  );

const rolloutsNow = (parts: SnapshotParts): Snapshot['rollouts'] =>
  new Map([...parts.plan.table.splits.values()].map((split) => [split.name, rolloutReport(split, parts)]));

const rolloutsSince = ({ last, rollouts }: Since, parts: SnapshotParts): Snapshot['rollouts'] => {
  if (rollouts.size === 0) return last.rollouts;
  const now = new Map(last.rollouts);
  for (const key of rollouts) {
    const split = parts.plan.table.splits.get(key);
    if (split === undefined) now.delete(key);
    else now.set(key, rolloutReport(split, parts));
  }
  return now;
};

const modelReport = (model: ReturnType<SnapshotParts['model']>): BaseModelReport => {
  const { source, state, reason, message, manifestDigest, baseDigest } = model;
  const { executionProvider, refusedProviders, operators, limits } = model;
  return {
    source,
    state,
    reason,
    message,
    manifestDigest,
    receivedBytes: whole(model.receivedBytes),
    totalBytes: whole(model.totalBytes),
    baseDigest,
    executionProvider,
    refusedProviders: [...refusedProviders],
    operators: { ...operators },
    limits: [...limits],
  };
};

const whole = (value: number): bigint => BigInt(Math.max(0, Math.round(value)));

const usage = ({ budgetBytes, usedBytes }: RuntimeStatus['memory']): Usage => ({
  budgetBytes: whole(budgetBytes),
  usedBytes: whole(usedBytes),
});

const adapterReport = (view: AdapterView, uid: string): AdapterReport => {
  const { key, digest, state, reason, message, storedBytes, residentBytes, neededBytes } = view;
  const { serves, rank, targetModules } = view;
  return {
    key,
    uid,
    digest,
    state,
    reason,
    message,
    isFinal: state === 'Failed' && catalogue[reason as ErrorCode]?.retry !== 'Backoff',
    inTurn: serves && state !== 'Resident',
    storedBytes: whole(storedBytes),
    residentBytes: whole(residentBytes),
    neededBytes: whole(neededBytes),
    rank,
    targetModules: [...targetModules],
  };
};

const rolloutReport = (
  split: SplitResource,
  { holds, counts, splits, mirrored, elsewhere, facts }: SnapshotParts,
): RolloutReport => {
  const { uid, stable, canary, weight, mirror = 0 } = split.body;
  const canaryDigest = canary?.digest ?? '';
  const served = counts.atWeight(uid, canaryDigest, weight);
  return {
    key: split.name,
    uid,
    stableDigest: stable?.digest ?? '',
    canaryDigest,
    attempt: canary?.attempt ?? 0,
    weight,
    effectiveWeight: effectiveWeight(split, facts),
    servedStable: whole(served.stable),
    servedCanary: whole(served.canary),
    holds: holds
      .ofRollout(uid)
      .map(({ digest, cause, reason, attempt }) => ({ digest, cause, reason, attempt })),
    counts: splits.reports(uid, canaryDigest, canary?.attempt ?? 0).map(countsToWire),
    elsewhere: elsewhere.reports(uid, canaryDigest, canary?.attempt ?? 0).map(elsewhereToWire),
    mirror: copiesToWire(mirror, mirrored.ofAttempt(uid, canary?.digest, canary?.attempt)),
  };
};
