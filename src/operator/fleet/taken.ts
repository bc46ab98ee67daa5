import { AdaptletError } from '../../errors/adaptlet-error.ts';
import { limitCounts, withFormerCounts } from './counts.ts';
import type { RolloutState, RuntimeState } from './fleet.ts';
import { type Change, maxLimits, maxReported, type Update } from './update.ts';

type Known = Pick<RuntimeState, 'adapters' | 'rollouts' | 'limits'>;

const nobody: Known = { adapters: new Map(), rollouts: new Map() };

/**
 * An update as it is taken in: rollouts with the counts of before that it does not repeat. `known`: what the connection said so
 * far; undefined: nothing.
 * @throws HELLO_INVALID when the runtime would have more entries than anyone has
 */
export const taken = (known: Known = nobody, update: Update): Update => {
  const { change } = update;
  if (change === undefined) return update;
  const { whole, gone, goneRollouts, limits } = change;
  const rollouts = whole ? change.rollouts : withCounts(known.rollouts, change.rollouts);
  for (const [before, now, removed] of [
    [known.adapters, change.adapters, gone],
    [known.rollouts, rollouts, goneRollouts],
  ] as const)
    if (sizeAfter(before, now, whole ? undefined : removed) > maxReported)
      throw invalid(`the runtime reports more than ${maxReported} entries`);
  if (rollouts.size > 0) limitCounts(after(whole ? nobody.rollouts : known.rollouts, rollouts, goneRollouts));
  if (limits !== undefined && sizeAfter(known.limits ?? new Map(), limits, []) > maxLimits)
    throw invalid(`the runtime tells of more than ${maxLimits} limits`);
  return { ...update, change: { ...change, rollouts } };
};

const withCounts = (before: Known['rollouts'], told: Change['rollouts']): Change['rollouts'] =>
  new Map([...told].map(([key, now]) => [key, withFormerCounts(before.get(key), now)]));

/** `removed`: undefined: everything. */
const sizeAfter = <K>(
  before: ReadonlyMap<K, unknown>,
  now: ReadonlyMap<K, unknown>,
  removed: readonly K[] | undefined,
): number => {
  if (removed === undefined) return now.size;
  const gone = new Set(removed.filter((key) => before.has(key) && !now.has(key)));
  let added = 0;
  for (const key of now.keys()) if (!before.has(key)) added += 1;
  return before.size - gone.size + added;
};

const after = function* (
  before: Known['rollouts'],
  now: Change['rollouts'],
  removed: Change['goneRollouts'],
): Generator<RolloutState> {
  const gone = new Set(removed);
  for (const [key, state] of before) if (!now.has(key) && !gone.has(key)) yield state;
  yield* now.values();
};

const invalid = (what: string): AdaptletError => new AdaptletError('HELLO_INVALID', what);
