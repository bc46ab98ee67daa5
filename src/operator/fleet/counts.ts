import { AdaptletError } from '../../errors/adaptlet-error.ts';
import { maxElsewhere } from '../../rollout/judge/elsewhere.ts';
import { ToldRewards } from '../../rollout/judge/told-rewards.ts';
import type { RolloutState } from './fleet.ts';

/** Most counts of weights that are kept of one runtime, over all rollouts. It keeps 512 itself; each takes some 6 kB, 9 with feedback. */
export const maxCounts = 4096;
/** The same of answers of others that it was told of feedback for. It keeps 65,536 itself. */
const maxToldElsewhere = 131_072;

/** A report tells only the counts that changed: those of other weights stay, as long as they are about the same attempt. */
export const withFormerCounts = (before: RolloutState | undefined, now: RolloutState): RolloutState => {
  if (before === undefined || !isSameTrial(before, now)) return now;
  const [counts, elsewhere] = [countsAfter(before.counts, now.counts), elsewhereAfter(before, now)];
  if (counts === now.counts && elsewhere === now.elsewhere) return now;
  return { ...now, counts, ...(elsewhere === undefined ? {} : { elsewhere }) };
};

const countsAfter = (before: RolloutState['counts'], now: RolloutState['counts']): RolloutState['counts'] => {
  if (before.length === 0) return now;
  if (now.length === 0) return before;
  return [...new Map([...before, ...now].map((counts) => [counts.weight, counts])).values()];
};

/** The same of feedback about answers of other processes, in as many as one report may have: another replica relays all of them. */
const elsewhereAfter = (
  { elsewhere: before }: RolloutState,
  { elsewhere: now }: RolloutState,
): RolloutState['elsewhere'] =>
  before === undefined || now === undefined ? (now ?? before) : before.with(now).last(maxElsewhere);

/**
 * What is to be told of a rollout to who knows `known`: counts and feedback that are new. Undefined: it begins anew, as `known` has
 * some that are not there any more.
 */
export const newsOf = (known: RolloutState | undefined, now: RolloutState): RolloutState | undefined => {
  if (known === undefined || !isSameTrial(known, now)) return now;
  const before = new Set(known.counts);
  const counts = now.counts.filter((one) => !before.has(one));
  const weights = new Set(now.counts.map(({ weight }) => weight));
  const { elsewhere: told, ...rest } = now;
  const elsewhere = (told ?? ToldRewards.none).since(known.elsewhere ?? ToldRewards.none);
  if (elsewhere === undefined || known.counts.some(({ weight }) => !weights.has(weight))) return undefined;
  return { ...rest, counts, ...(elsewhere.size === 0 ? {} : { elsewhere }) };
};

/** @throws HELLO_INVALID */
export const limitCounts = (rollouts: Iterable<RolloutState>): void => {
  let all = 0;
  let elsewhere = 0;
  for (const { counts, elsewhere: told = ToldRewards.none } of rollouts) {
    all += counts.length;
    elsewhere += told.size;
  }
  if (all > maxCounts)
    throw new AdaptletError(
      'HELLO_INVALID',
      `the runtime reports counts of ${all} weights, at most ${maxCounts} are kept`,
    );
  if (elsewhere > maxToldElsewhere)
    throw new AdaptletError(
      'HELLO_INVALID',
      `the runtime reports feedback about ${elsewhere} answers of others, at most ${maxToldElsewhere} are kept`,
    );
};

const isSameTrial = (a: RolloutState, b: RolloutState): boolean =>
  a.uid === b.uid && a.canaryDigest === b.canaryDigest && a.attempt === b.attempt;
