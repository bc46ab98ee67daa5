import { type ObjectKey, objectKey } from '../../api/names.ts';
import type { RolloutObject } from '../../api/objects.ts';
import type { RolloutVerb } from '../admin/admin.ts';
import type { Holds } from '../serving/guard/holds.ts';
import type { StandaloneController } from './controller.ts';

export type VerbParts = {
  readonly controller: StandaloneController;
  readonly holds: Pick<Holds, 'hold' | 'release' | 'saved'>;
  /** Forgets why an adapter failed, so that it is tried again. */
  readonly retryAdapter: (key: ObjectKey) => void;
};

/**
 * Carries out what a person asks of a rollout on this node.
 *
 * Guarantee: from a rollback on, the canary gets no request here, whatever comes after.
 */
export const rolloutVerb = async (
  { controller, holds, retryAdapter }: VerbParts,
  key: ObjectKey,
  verb: RolloutVerb,
): Promise<RolloutObject> => {
  const { metadata, status } = controller.rolloutOf(key);
  if (verb === 'rollback' && status?.canary !== undefined) {
    holds.hold(metadata.uid, status.canary.digest, 'BreakGlass', 'rolled back by hand on this node');
  }
  if (verb === 'retry') {
    holds.release(metadata.uid);
    if (status?.canary !== undefined) retryAdapter(objectKey(metadata.namespace, status.canary.adapter));
  }
  const decided = await controller.request(key, verb);
  await holds.saved();
  return decided;
};
