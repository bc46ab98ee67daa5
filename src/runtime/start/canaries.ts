import { RolloutCounts } from '../serving/counts/rollout-counts.ts';
import { Guard } from '../serving/guard/guard.ts';
import { Holds } from '../serving/guard/holds.ts';
import { Trials } from '../serving/guard/trials.ts';
import type { Disk } from './disk.ts';
import type { RuntimeParts } from './parts.ts';
import type { Signals } from './signals.ts';

/** What a runtime watches of the adapters of rollouts: what is held back, what is on trial, what was counted. */
export type Canaries = {
  readonly holds: Holds;
  readonly trials: Trials;
  readonly guard: Guard;
  readonly counts: RolloutCounts;
};

export const watchCanaries = (
  { clock, logger }: Pick<RuntimeParts, 'clock' | 'logger'>,
  { memory, remembered }: Pick<Disk, 'memory' | 'remembered'>,
  signals: Signals,
): Canaries => {
  const holds = new Holds(remembered.holds, {
    clock,
    logger,
    write: (all) => memory.holds.write({ holds: [...all] }),
  });
  const trials = new Trials(remembered.trials, {
    clock,
    logger,
    write: async (all) => {
      await memory.trials.write({ trials: [...all] });
      signals.emit('admitted');
    },
    isHeld: (uid, digest) => holds.isHeld(uid, digest),
  });
  const guard = new Guard({ clock, holds, answered: (uid, digest) => trials.answered(uid, digest) });
  holds.onChange((change) => {
    if (change.kind === 'released') trials.forget(change.rolloutUid);
    if (change.kind === 'held' || change.kind === 'recovered') signals.emit('held');
  });
  const counts = new RolloutCounts(
    () => signals.emit('counted'),
    () => signals.emit('mirrored'),
  );
  return { holds, trials, guard, counts };
};
