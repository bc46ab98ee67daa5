import type { ObjectKey } from '../../api/names.ts';
import type { Residency } from '../residency/manager.ts';
import type { Demand } from './demand.ts';
import type { OperatorVerbs, RolloutVerb, RolloutView, RuntimeStatus, Steering } from './serving.ts';

export type SteeringParts = OperatorVerbs & {
  readonly residency: Residency;
  readonly status: () => RuntimeStatus;
  /** Decides about a verb of a rollout and puts the result in force. */
  readonly rolloutVerb: (key: ObjectKey, verb: RolloutVerb) => Promise<RolloutView>;
  readonly demand?: Demand | undefined;
};

/** Steering by hand: everything goes to the part that owns it. */
export const createSteering = (parts: SteeringParts): Steering => {
  const { residency, status, rolloutVerb, demand } = parts;
  return {
    status,
    preload: async (key, signal) => {
      if (residency.state(key) === undefined) await demand?.bring(key, signal);
      // A person who asks again has usually changed something that a failure waits for.
      if (residency.state(key)?.kind === 'Failed') residency.retry(key);
      return residency.preload(key, signal);
    },
    pin: async (key, pinned) => residency.pin(key, pinned),
    evict: (key, signal) => residency.evict(key, signal),
    rollout: rolloutVerb,
    trustCluster: () => parts.trustCluster(),
    confirmRemovals: () => parts.confirmRemovals(),
  };
};
