import { objectKey } from '../api/names.ts';
import type { RolloutObject } from '../api/objects.ts';
import { keyOf } from '../api/references.ts';
import type { ServingFacts } from './routing/decision.ts';
import { effectiveWeight } from './routing/route.ts';
import type { RoutingTable } from './routing/table.ts';
import type { Holds } from './serving/holds.ts';
import type { ServedCounts } from './serving/served-counts.ts';
import type { RolloutView } from './serving/serving.ts';

/** A rollout as status shows it: what was decided, and what this runtime does with it. */
export const rolloutView = (
  rollout: RolloutObject,
  parts: { readonly table: RoutingTable; readonly facts: ServingFacts; readonly holds: Holds; readonly counts: ServedCounts },
): RolloutView => {
  const { namespace, name, uid } = rollout.metadata;
  const { status } = rollout;
  const split = parts.table.splits.get(keyOf(rollout));
  const held = parts.holds.of(uid).find((hold) => hold.canaryDigest === status?.canary?.digest);
  return {
    key: objectKey(namespace, name),
    phase: status?.phase ?? 'Progressing',
    message: status?.message ?? '',
    stable: status?.stable?.adapter ?? '',
    canary: status?.canary?.adapter ?? '',
    step: status?.step === undefined ? '' : `${Math.min(status.step.index + 1, status.step.total)}/${status.step.total}`,
    weight: status?.weights.canary ?? 0,
    effectiveWeight: split === undefined ? 0 : effectiveWeight(split, parts.facts),
    served: parts.counts.of(objectKey(namespace, name)),
    held: held?.reason ?? '',
  };
};
