import { conditionOf } from '../../api/condition.ts';
import type { Manifest, RolloutObject } from '../../api/objects.ts';
import { canonicalJson } from '../../plan/canonical.ts';
import type { Read } from '../objects/objects.ts';

/**
 * Text of everything in an object that a plan depends on: while it is the same, no plan changes. The generation stands
 * for the spec. Of a status it has what the compiler reads, and what the plans of restrained runtimes read besides; so
 * counts, messages, conditions and the time of a pause cost nothing.
 */
export const inputOf = ({ metadata, object }: Read<Manifest>): string => {
  if (object === undefined) return `${metadata.uid} invalid`;
  return `${metadata.uid} ${metadata.generation} ${canonicalJson(readOf(object) ?? null)}`;
};

const readOf = (object: Manifest): unknown => {
  switch (object.kind) {
    case 'Adapter':
      return [
        object.status?.digest,
        conditionOf(object.status?.conditions, 'SignatureVerified')?.status === 'False',
      ];
    case 'AdapterRollout':
      return object.status && readOfRollout(object.status);
    case 'AdapterRoute':
    case 'AdapterPolicy':
      return undefined;
  }
};

const readOfRollout = ({
  stable,
  canary,
  history,
  weights,
  groups,
  abort,
  completionStatus,
  message,
}: NonNullable<RolloutObject['status']>) => ({
  stable,
  canary,
  history,
  weights: { canary: weights.canary, mirror: weights.mirror },
  groups: groups?.map(({ phase, selector, reach, open, weight }) => ({
    phase,
    selector,
    reach,
    open,
    weight,
  })),
  abort: abort && { uid: abort.uid, digest: abort.digest },
  completionStatus,
  // Callers are told it while nothing can serve.
  message: stable === undefined ? message : undefined,
});
