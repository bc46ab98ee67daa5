import type { ObjectKey } from '../../api/names.ts';
import { AdaptletError } from '../../errors/adaptlet-error.ts';
import { limitCounts, withFormerCounts } from './counts.ts';
import type { RolloutState, RuntimeState } from './fleet.ts';
import { maxStateBytes, sizeOfAdapter, sizeOfClassifiers, sizeOfRollout } from './size.ts';
import { type Change, maxLimits, maxReported, type Update } from './update.ts';

type Known = Pick<RuntimeState, 'adapters' | 'rollouts' | 'limits' | 'classifiers'>;

/** What a connection said so far, and the bytes of it. */
export type Said = { readonly state: Known; readonly bytes: number };

const nobody: Known = { adapters: new Map(), rollouts: new Map() };
const nobodys: NonNullable<Known['classifiers']> = new Map();

/**
 * An update as it is taken in: rollouts with the counts of before that it does not repeat; and the bytes of all that the
 * runtime said then. `said`: so far; undefined: nothing.
 * @throws HELLO_INVALID when the runtime would have more than anyone has
 */
export const taken = (
  { state: known, bytes: already }: Said = { state: nobody, bytes: 0 },
  update: Update,
): { readonly update: Update; readonly bytes: number } => {
  const { change } = update;
  if (change === undefined) return { update, bytes: already };
  const { whole, gone, goneRollouts, limits, classifiers = nobodys } = change;
  const rollouts = whole ? change.rollouts : withCounts(known.rollouts, change);
  for (const [before, now, removed] of [
    [known.adapters, change.adapters, gone],
    [known.rollouts, rollouts, goneRollouts],
    [known.classifiers ?? nobodys, ...routesIn(classifiers)],
  ] as const)
    if (sizeAfter(before, now, whole ? undefined : removed) > maxReported)
      throw invalid(`the runtime reports more than ${maxReported} entries`);
  if (rollouts.size > 0) limitCounts(after(whole ? nobody.rollouts : known.rollouts, rollouts, goneRollouts));
  if (limits !== undefined && sizeAfter(known.limits ?? new Map(), limits, []) > maxLimits)
    throw invalid(`the runtime tells of more than ${maxLimits} limits`);
  const bytes =
    (whole ? 0 : already) +
    growth(known.adapters, change.adapters, whole ? undefined : gone, sizeOfAdapter) +
    growth(known.rollouts, rollouts, whole ? undefined : goneRollouts, sizeOfRollout) +
    growth(known.classifiers ?? nobodys, classifiers, whole ? undefined : [], sizeOfClassifiers);
  if (bytes > maxStateBytes)
    throw invalid(
      `the runtime says ${bytes} bytes of adapters, rollouts and classifiers, at most ${maxStateBytes} are kept`,
    );
  return { update: { ...update, change: { ...change, rollouts } }, bytes };
};

/** Routes with classifiers, and those that have none any more. */
const routesIn = (classifiers: NonNullable<Known['classifiers']>) => {
  const told = new Map([...classifiers].filter(([, of]) => of.length > 0));
  return [told, [...classifiers.keys()].filter((key) => !told.has(key))] as const;
};

/** What is gone and told in one report begins anew. */
const withCounts = (before: Known['rollouts'], { rollouts, goneRollouts }: Change): Change['rollouts'] => {
  const gone = new Set(goneRollouts);
  const formerOf = (key: ObjectKey) => (gone.has(key) ? undefined : before.get(key));
  return new Map([...rollouts].map(([key, now]) => [key, withFormerCounts(formerOf(key), now)]));
};

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

/** Bytes that come. `removed`: undefined: nothing of before counts. */
const growth = <K extends string, V>(
  before: ReadonlyMap<K, V>,
  now: ReadonlyMap<K, V>,
  removed: readonly K[] | undefined,
  sizeOf: (key: K, value: V) => number,
): number => {
  let bytes = 0;
  for (const [key, value] of now) bytes += sizeOf(key, value);
  if (removed === undefined) return bytes;
  for (const key of new Set([...removed, ...now.keys()])) {
    const was = before.get(key);
    if (was !== undefined) bytes -= sizeOf(key, was);
  }
  return bytes;
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
