import { objectKey, shortDigest } from '../../api/names.ts';
import type { BoundAdapter } from '../../api/rollout-status.ts';
import type { SplitResource } from '../../plan/resources.ts';
import type { ServingFacts, Trouble } from './decision.ts';
import { partsOf } from './table.ts';

/** What answers for stable on this node. */
export type StableArm =
  /** `trouble`: why it is not stable that answers, or what is broken although it is asked; '' when all is well. */
  | {
      readonly kind: 'adapter';
      readonly bound: BoundAdapter;
      readonly trouble: string;
      readonly isReplaceable: boolean;
    }
  | { readonly kind: 'base'; readonly trouble: string }
  | { readonly kind: 'none'; readonly trouble: string };

/**
 * Stable; while it cannot serve here, the version before it when it is here and can; then the base model, where the
 * rollout allows that and `baseRefusal`, of the policy of its namespace, is undefined. Where nothing is left, stable is asked all the same, unless it is known that it cannot: what
 * fails some requests may answer others. Undefined: the rollout has no stable yet.
 */
export const stableArm = (
  split: SplitResource,
  facts: ServingFacts,
  baseRefusal: string | undefined,
): StableArm | undefined => {
  const { stable, former, fallbackToBase: isBaseAsked = false } = split.body;
  const fallbackToBase = isBaseAsked && baseRefusal === undefined;
  if (stable === undefined) return undefined;
  const trouble = troubleOf(split, stable, facts);
  const formerTrouble = former === undefined ? undefined : troubleOf(split, former, facts);
  const canFormer = former !== undefined && formerTrouble === undefined;
  const isFormerHere = canFormer && (facts.isHere?.(keyOfVersion(split, former), former.digest) ?? true);
  if (trouble === undefined) {
    const isReplaceable = isFormerHere || fallbackToBase;
    return { kind: 'adapter', bound: stable, trouble: '', isReplaceable };
  }
  const why = `${named(stable)} (stable): ${trouble.reason}`;
  if (isFormerHere) return { kind: 'adapter', bound: former, trouble: why, isReplaceable: fallbackToBase };
  const whyNotFormer =
    former === undefined
      ? 'there is no version before it'
      : `${named(former)} (the one before): ${formerTrouble?.reason ?? 'it is not on this runtime'}`;
  if (fallbackToBase) return { kind: 'base', trouble: `${why}; ${whyNotFormer}` };
  const whyNotBase = isBaseAsked ? baseRefusal : 'spec.fallbackToBase does not allow the base model';
  const all = `${why}; ${whyNotFormer}; ${whyNotBase}`;
  if (canFormer) return { kind: 'adapter', bound: former, trouble: all, isReplaceable: false };
  return trouble.isFinal
    ? { kind: 'none', trouble: all }
    : { kind: 'adapter', bound: stable, trouble: all, isReplaceable: false };
};

const named = ({ adapter, digest }: BoundAdapter): string => `${adapter}@${shortDigest(digest)}`;

/** The Adapter of a version. */
export const keyOfVersion = ({ name }: SplitResource, { adapter }: BoundAdapter) =>
  objectKey(partsOf(name)[0], adapter);

/** Why a version cannot serve here; undefined: it can. */
export const troubleOf = (
  split: SplitResource,
  bound: BoundAdapter,
  facts: ServingFacts,
): Trouble | undefined => {
  const { uid } = split.body;
  if (facts.troubleOf !== undefined) return facts.troubleOf(uid, keyOfVersion(split, bound), bound.digest);
  return facts.isHeld(uid, bound.digest) ? { reason: 'held back on this node', isFinal: true } : undefined;
};
