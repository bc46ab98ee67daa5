import { namespaceOf, type ObjectKey, objectKey } from '../api/names.ts';
import { adaptersOfRoute } from './mentions.ts';
import type { Plan, Resource, Versioned } from './resources.ts';
import { type Entry, ViewPlan } from './view-plan.ts';

/** All resources of a type that a plan has. */
export const resourcesOf = (plan: Plan, type: Resource['type']): ReadonlyMap<string, Versioned> =>
  plan instanceof ViewPlan ? plan.ofType(type) : new Map([...plan].filter(([, one]) => one.type === type));

/** A plan with other resources in place of some that it has. Costs what these are, however much there is of the plan. */
export const overlaid = (plan: Plan, over: ReadonlyMap<string, Versioned>): Plan => {
  if (over.size === 0) return plan;
  if (!(plan instanceof ViewPlan)) return new Map([...plan, ...over]);
  const mentions = mentionsAfter(plan, over);
  const own = new Map<string, Entry>();
  for (const [key, resource] of over)
    if (resource.type !== 'AdapterSpec') own.set(key, entryOf(resource, true));
  const isOver = [...over].flatMap(([, one]) => (one.type === 'AdapterSpec' ? [one.name] : []));
  for (const name of new Set([...isOver, ...mentions.changed])) {
    const key = `AdapterSpec ${name}`;
    const resource = over.get(key) ?? plan.get(key);
    if (resource?.type !== 'AdapterSpec') continue;
    const { tier, held } = resource.body;
    own.set(key, entryOf(resource, tier !== 'None' || held || mentions.of(name) > 0));
  }
  return plan.with(own);
};

type Mentions = {
  /** Splits and routes that name an adapter. */
  readonly of: (adapter: ObjectKey) => number;
  /** Adapters that others name than before. */
  readonly changed: Iterable<ObjectKey>;
};

const mentionsAfter = (plan: ViewPlan, over: ReadonlyMap<string, Versioned>): Mentions => {
  const changes = new Map<ObjectKey, number>();
  for (const [key, resource] of over) {
    for (const name of namedBy(plan.get(key))) changes.set(name, (changes.get(name) ?? 0) - 1);
    for (const name of namedBy(resource)) changes.set(name, (changes.get(name) ?? 0) + 1);
  }
  let before: ReadonlyMap<ObjectKey, number> | undefined;
  return {
    of: (adapter) => {
      before ??= mentionsIn(plan);
      return (before.get(adapter) ?? 0) + (changes.get(adapter) ?? 0);
    },
    changed: changes.keys(),
  };
};

type Resources = ReadonlyMap<string, Versioned>;
type Counted = { readonly routes: Resources; readonly counts: ReadonlyMap<ObjectKey, number> };

/** By the Splits. */
const counted = new WeakMap<Resources, Counted>();

/** Counted once for all runtimes that have these Splits and routes. */
const mentionsIn = (plan: ViewPlan): ReadonlyMap<ObjectKey, number> => {
  const [splits, routes] = [plan.ofType('Split'), plan.ofType('Route')];
  const known = counted.get(splits);
  if (known?.routes === routes) return known.counts;
  const counts = new Map<ObjectKey, number>();
  for (const resource of [...splits.values(), ...routes.values()])
    for (const name of namedBy(resource)) counts.set(name, (counts.get(name) ?? 0) + 1);
  counted.set(splits, { routes, counts });
  return counts;
};

const namedBy = (resource: Versioned | undefined): ReadonlySet<ObjectKey> => {
  if (resource?.type === 'Route') return new Set(adaptersOfRoute(namespaceOf(resource.name), resource.body));
  if (resource?.type !== 'Split') return new Set();
  const { stable, former, canary } = resource.body;
  return new Set(
    [stable, former, canary].flatMap((arm) =>
      arm === undefined ? [] : [objectKey(namespaceOf(resource.name), arm.adapter)],
    ),
  );
};

const entries = new WeakMap<Versioned, Entry>();

/** The same one each time where it means the same: then nothing differs. */
const entryOf = (resource: Versioned, isSent: boolean): Entry => {
  const known = entries.get(resource);
  if (known?.isSent === isSent) return known;
  const entry = { resource, isSent };
  entries.set(resource, entry);
  return entry;
};
