import type { ObjectKey } from '../../api/names.ts';
import type { Residency } from '../residency/manager.ts';
import type { RolloutVerb, RolloutView, RuntimeStatus, Steering } from './serving.ts';

export type SteeringParts = {
  readonly residency: Residency;
  readonly status: () => RuntimeStatus;
  /** Decides about a verb of a rollout and puts the result in force. */
  readonly rolloutVerb: (key: ObjectKey, verb: RolloutVerb) => Promise<RolloutView>;
};

/** Steering by hand: everything goes to the part that owns it. */
export const createSteering = ({ residency, status, rolloutVerb }: SteeringParts): Steering => ({
  status,
  preload: (key, signal) => {
    // A person who asks again has usually changed something that a failure waits for.
    if (residency.state(key)?.kind === 'Failed') residency.retry(key);
    return residency.preload(key, signal);
  },
  pin: async (key, pinned) => residency.pin(key, pinned),
  evict: (key, signal) => residency.evict(key, signal),
  rollout: rolloutVerb,
});
