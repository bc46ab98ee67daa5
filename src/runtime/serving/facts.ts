import type { Residency } from '../residency/manager.ts';
import type { ServingFacts } from '../routing/decision.ts';
import type { Holds } from './holds.ts';

/** What routing asks of this node at the moment of a request. */
export const servingFacts = (
  residency: Pick<Residency, 'isResident'>,
  holds: Pick<Holds, 'isHeld'>,
): ServingFacts => ({
  isResident: (key, digest) => residency.isResident(key, digest),
  isHeld: (rolloutUid, digest) => holds.isHeld(rolloutUid, digest),
});
