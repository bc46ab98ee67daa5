import type { ObjectKey } from '../../api/names.ts';
import type { RolloutObject } from '../../api/objects.ts';
import type { Holds } from '../serving/holds.ts';
import type { RolloutVerb } from '../serving/serving.ts';
import type { StandaloneController } from './controller.ts';

/**
 * Carries out what a person asks of a rollout on this node.
 *
 * Guarantee: from a rollback on, the canary gets no request here, whatever comes after.
 */
export const rolloutVerb = async (
  controller: StandaloneController,
  holds: Holds,
  key: ObjectKey,
  verb: RolloutVerb,
): Promise<RolloutObject> => {
  const { metadata, status } = controller.rolloutOf(key);
  if (verb === 'rollback' && status?.canary !== undefined) {
    holds.hold(metadata.uid, status.canary.digest, 'BreakGlass', 'rolled back by hand on this node');
  }
  if (verb === 'retry') holds.release(metadata.uid);
  return controller.request(key, verb);
};
