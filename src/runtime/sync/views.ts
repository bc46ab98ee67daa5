import type { SplitResource } from '../../plan/resources.ts';
import type { DecidedRollout } from '../plan-source/plan-source.ts';
import type { Hold } from '../state/memory.ts';

/** A rollout as the plan of an operator says it; the operator alone knows its steps. */
export const decidedOf = ({ name, body }: SplitResource, holds: readonly Hold[]): DecidedRollout => {
  const { uid, stable, canary, weight } = body;
  const held = holds.find(({ arm, digest }) => digest === (arm === 'stable' ? stable : canary)?.digest);
  return {
    key: name,
    uid,
    ...standing(body, held),
    stable: stable?.adapter ?? '',
    canary: canary?.adapter ?? '',
    step: '',
    weight,
    stableDigest: stable?.digest,
    canaryDigest: canary?.digest,
  };
};

const standing = (
  { stable, former, canary, weight, message }: SplitResource['body'],
  held: Hold | undefined,
): Pick<DecidedRollout, 'phase' | 'message'> => {
  if (held !== undefined) {
    const instead = held.arm === 'stable' ? (former?.adapter ?? 'nothing else') : stable?.adapter;
    return { phase: 'Degraded', message: `held back on this node, ${instead} serves: ${held.reason}` };
  }
  if (stable === undefined || message !== '') return { phase: 'Progressing', message };
  if (canary !== undefined && weight > 0) return { phase: 'Progressing', message: 'as the operator decides' };
  return { phase: 'Healthy', message: `${stable.adapter} serves` };
};
