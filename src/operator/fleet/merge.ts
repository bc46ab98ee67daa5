import { isDeepStrictEqual } from 'node:util';
import type { ObjectKey } from '../../api/names.ts';
import { isSameState } from '../../control/same-state.ts';
import type { AdapterTable } from './adapter-table.ts';
import { isSameDecisive } from './decisive.ts';
import type { RolloutState, RuntimeState } from './fleet.ts';
import type { SharedRollouts } from './shared-rollouts.ts';
import type { Change } from './update.ts';

/** Of what something was told that differs from before. */
export type Touched = Readonly<Record<'adapters' | 'rollouts' | 'decisive' | 'routes', Set<ObjectKey>>>;

export const nothingTouched = (): Touched => ({
  adapters: new Set(),
  rollouts: new Set(),
  decisive: new Set(),
  routes: new Set(),
});

/** What a runtime says, as it is kept. */
export type Reported = Pick<RuntimeState, 'classifiers'> & {
  readonly adapters: AdapterTable;
  readonly rollouts: Map<ObjectKey, RolloutState>;
};
export type Former = Pick<RuntimeState, 'adapters' | 'rollouts' | 'classifiers'>;

type Merging = {
  readonly touched: Touched;
  /** What was known before; the same object as what is merged into where the connection is the same. */
  readonly former: Former | undefined;
  readonly shared: SharedRollouts;
};

/**
 * Takes a change in. A whole report says everything: only what is other than before is news. Gives what is known of classifiers
 * then.
 */
export const merge = (
  into: Reported,
  change: Change,
  { touched, former, shared }: Merging,
): RuntimeState['classifiers'] => {
  const before = change.whole ? former : undefined;
  mergeAdapters(into.adapters, change, touched, before?.adapters);
  mergeRollouts(into.rollouts, change, { touched, former: before, shared });
  const classifiers = classifiersAfter(into.classifiers, change);
  touchRoutes(touched, (change.whole ? former : into)?.classifiers, classifiers);
  return classifiers;
};

/** What differs between two runtimes, or two connections of one. */
export const differenceOf = (before: Former, now: Former): Touched => {
  const touched = nothingTouched();
  for (const key of new Set([...before.adapters.keys(), ...now.adapters.keys()])) {
    const [was, is] = [before.adapters.get(key), now.adapters.get(key)];
    if (was === undefined || is === undefined || !isSameState(was, is)) touched.adapters.add(key);
  }
  for (const key of new Set([...before.rollouts.keys(), ...now.rollouts.keys()])) {
    const [was, is] = [before.rollouts.get(key), now.rollouts.get(key)];
    if (!isDeepStrictEqual(was, is)) touchRollout(touched, key, was, is);
  }
  touchRoutes(touched, before.classifiers, now.classifiers);
  return touched;
};

const classifiersAfter = (
  known: RuntimeState['classifiers'],
  { classifiers, whole }: Pick<Change, 'classifiers' | 'whole'>,
): RuntimeState['classifiers'] => {
  if (classifiers === undefined) return whole ? undefined : known;
  const all = new Map(whole ? [] : known);
  for (const [route, of] of classifiers) {
    if (of.length > 0) all.set(route, of);
    else all.delete(route);
  }
  return all;
};

const touchRoutes = (
  { routes }: Touched,
  before: RuntimeState['classifiers'],
  now: RuntimeState['classifiers'],
): void => {
  if (before === now) return;
  for (const key of new Set([...(before?.keys() ?? []), ...(now?.keys() ?? [])]))
    if (!isDeepStrictEqual(before?.get(key), now?.get(key))) routes.add(key);
};

const mergeAdapters = (
  into: AdapterTable,
  { adapters, gone, whole }: Change,
  { adapters: touched }: Touched,
  former: Former['adapters'] | undefined,
): void => {
  for (const key of former?.keys() ?? []) if (!adapters.has(key)) touched.add(key);
  for (const key of whole ? [...into.keys()].filter((one) => !adapters.has(one)) : gone) {
    const removed = into.delete(key);
    if (removed !== undefined) touched.add(removed);
  }
  for (const [key, state] of adapters) {
    const was = former?.get(key);
    const { name, state: now } = into.set(key, state);
    if (was === undefined || !isSameState(was, now)) touched.add(name.key);
  }
};

const mergeRollouts = (
  into: Reported['rollouts'],
  { rollouts, goneRollouts, whole }: Change,
  { touched, former, shared }: Merging,
): void => {
  const before = former?.rollouts;
  const changed = new Map([...rollouts].map(([key, state]) => shared.of(key, state)));
  for (const [key, was] of before ?? []) if (!changed.has(key)) touchRollout(touched, key, was, undefined);
  for (const key of whole ? [...into.keys()].filter((one) => !changed.has(one)) : goneRollouts) {
    const was = into.get(key);
    if (into.delete(key)) touchRollout(touched, key, was, undefined);
  }
  for (const [key, state] of changed) {
    const was = (before ?? into).get(key);
    if (before === undefined || !isDeepStrictEqual(was, state)) touchRollout(touched, key, was, state);
    into.set(key, state);
  }
};

const touchRollout = (
  { rollouts, decisive }: Touched,
  key: ObjectKey,
  was: RolloutState | undefined,
  now: RolloutState | undefined,
): void => {
  rollouts.add(key);
  if (!isSameDecisive(was, now)) decisive.add(key);
};

/** Another object once there is something new. */
export const withLimits = <State extends RuntimeState>(
  state: State,
  told: NonNullable<RuntimeState['limits']>,
): State => {
  const limits = new Map([...(state.limits ?? []), ...told]);
  const isNews = [...told].some(([name, count]) => state.limits?.get(name) !== count);
  return isNews ? { ...state, limits } : state;
};

/** Without them once there are none. */
export const withRemovals = <State extends RuntimeState>(
  state: State,
  held: NonNullable<RuntimeState['removalsHeld']>,
): Omit<State, 'removalsHeld'> & Pick<RuntimeState, 'removalsHeld'> => {
  const { removalsHeld: _, ...rest } = state;
  return held.count > 0 ? { ...rest, removalsHeld: held } : rest;
};
