import { RolloutCounts } from '../serving/counts/rollout-counts.ts';
import { Holds } from '../serving/guard/holds.ts';
import { Trials } from '../serving/guard/trials.ts';
import type { Disk } from './disk.ts';
import type { RuntimeParts } from './parts.ts';
import type { Signals } from './signals.ts';

/** What a runtime watches of the adapters of rollouts: what is held back, what is on trial, what was counted. */
export type Canaries = { readonly holds: Holds; readonly trials: Trials; readonly counts: RolloutCounts };

export const watchCanaries = (
  { clock, logger }: Pick<RuntimeParts, 'clock' | 'logger'>,
  { memory, remembered }: Pick<Disk, 'memory' | 'remembered'>,
  signals: Signals,
): Canaries => {
  const holds = new Holds(clock, remembered.holds, {
    held: () => signals.emit('held'),
    changed: (all) =>
      memory.holds.write({ holds: [...all] }).catch((error: unknown) => {
        logger.error({ err: error }, 'holds could not be written to disk; a restart would forget them');
      }),
    answered: (uid, digest) => signals.emit('answered', uid, digest),
    released: (uid) => signals.emit('released', uid),
    logger,
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
  const counts = new RolloutCounts(
    () => signals.emit('counted'),
    () => signals.emit('mirrored'),
  );
  return { holds, trials, counts };
};
