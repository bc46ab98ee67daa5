import type { PlanParts } from '../plan-source/plan-in-force.ts';
import type { Residency } from '../residency/manager.ts';
import type { ServingFacts } from '../routing/decision.ts';
import { isAwaited, isRefused } from '../serving/facts.ts';
import type { Holds } from '../serving/guard/holds.ts';
import { keptToJson } from '../state/kept.ts';
import type { Disk } from './disk.ts';

export type HandoverParts = {
  readonly facts: Pick<ServingFacts, 'serves'> & Required<Pick<ServingFacts, 'isHere'>>;
  readonly holds: Pick<Holds, 'isHeld'>;
  readonly residency: Pick<Residency, 'state'>;
};

/** What goes on serving until the stable of the plan is here, kept in a state file. */
export const handoverOf = (
  { memory, remembered }: Pick<Disk, 'memory' | 'remembered'>,
  { facts, holds, residency }: HandoverParts,
): NonNullable<PlanParts['handover']> => ({
  remembered: remembered.kept,
  write: (kept) => memory.kept.write(keptToJson(kept)),
  facts: {
    serves: (key, digest) => facts.serves(key, digest),
    isHere: (key, digest) => facts.isHere(key, digest),
    isHeld: (uid, digest) => holds.isHeld(uid, digest),
    isLost: (key) => isAwaited(residency.state(key)),
    isRefused: (key) => isRefused(residency.state(key)),
  },
});
