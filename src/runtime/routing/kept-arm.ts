import type { SplitResource } from '../../plan/resources.ts';
import type { KeptVersion, ServingFacts } from './decision.ts';
import { keyOfVersion, troubleOf } from './stable-arm.ts';

/** Who answers a session; `former`: the stable before this one. */
export type KeptArm = 'stable' | 'canary' | 'former' | 'base';

/**
 * Who answers a session that has a version of a rollout already: that version for as long as the rollout has it, whatever the
 * weight is by now, else stable. A canary that has no traffic here, as after an abort, has none of its sessions either, and
 * another canary gets nobody in the middle of a session. What was stable answers on while the plan still has it as the one
 * before, it is on the disk and nothing is known against it: a rollback takes it out of the plan.
 *
 * @param weight percent that the canary has here now
 * @param baseRefusal why the base model may not answer; undefined: it may
 */
export const keptArm = (
  split: SplitResource,
  { arm, digest }: KeptVersion,
  {
    weight,
    facts,
    baseRefusal,
  }: {
    readonly weight: number;
    readonly facts: ServingFacts;
    readonly baseRefusal: string | undefined;
  },
): KeptArm => {
  const { stable, former, canary, fallbackToBase = false } = split.body;
  if (canary?.digest === digest && weight > 0) return 'canary';
  if (stable?.digest === digest) return 'stable';
  if (former?.digest === digest && troubleOf(split, former, facts) === undefined) {
    const isHere = facts.isHere?.(keyOfVersion(split, former), former.digest) ?? true;
    if (isHere) return 'former';
  }
  return arm === 'base' && fallbackToBase && baseRefusal === undefined ? 'base' : 'stable';
};
