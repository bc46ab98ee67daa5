import { FeedbackKeys } from '../serving/counts/feedback-keys.ts';
import { RolloutCounts } from '../serving/counts/rollout-counts.ts';
import { Guard } from '../serving/guard/guard.ts';
import { Holds } from '../serving/guard/holds.ts';
import { Trials, type TrialsParts } from '../serving/guard/trials.ts';
import type { Disk } from './disk.ts';
import type { RuntimeParts } from './parts.ts';
import type { Signals } from './signals.ts';

/** What a runtime watches of the adapters of rollouts: what is held back, what is on trial, what was counted. */
export type Canaries = {
  readonly holds: Holds;
  readonly trials: Trials;
  readonly guard: Guard;
  readonly counts: RolloutCounts;
  readonly feedbackKeys: FeedbackKeys;
};

/** `instance`: of this process. `planSaved`: as trials have it. */
export const watchCanaries = (
  {
    clock,
    logger,
    instance,
    planSaved,
  }: Pick<RuntimeParts, 'clock' | 'logger'> & Pick<TrialsParts, 'planSaved'> & { readonly instance: string },
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
    planSaved,
  });
  const guard = new Guard({ clock, holds, answered: (uid, digest) => trials.answered(uid, digest) });
  holds.onChange((change) => {
    if (change.kind === 'released') trials.forget(change.rolloutUid);
    if (change.kind === 'held' || change.kind === 'recovered') signals.emit('held');
  });
  const feedbackKeys = new FeedbackKeys(remembered.feedback, (kept) => {
    memory.feedback.write({ own: kept.own, given: [...kept.given] }).catch((error: unknown) => {
      logger.error(
        { err: error },
        'keys of ids of answers could not be written to disk; feedback about them is refused after a restart',
      );
    });
  });
  const counts = new RolloutCounts(
    () => signals.emit('counted'),
    () => signals.emit('mirrored'),
    { instance, keys: feedbackKeys },
  );
  return { holds, trials, guard, counts, feedbackKeys };
};
