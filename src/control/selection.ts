import type { ObjectKey } from '../api/names.ts';
import { objectKey } from '../api/names.ts';
import { adaptersOfRoute } from '../plan/mentions.ts';
import type { Plan, SplitResource, Versioned } from '../plan/resources.ts';
import { ViewPlan } from '../plan/view-plan.ts';
import { namespaceOf } from './key.ts';

/** The part of a plan that one runtime is sent. */
export type Selection = {
  /** What every runtime of the plan is sent. The same object each time for the same plan. */
  readonly base: Plan;
  /** What this runtime is sent besides, by key. */
  readonly extra: Plan;
  /** Names that the runtime asked for and that no Adapter, rollout or route of the plan has. */
  readonly unknown: readonly string[];
};

/**
 * What a runtime is sent of its plan: all Splits and Routes; the adapters that the plan wants somewhere (a tier, held),
 * that a Split or a Route of their namespace names, and those whose name the runtime asked for. Pure; what does not
 * depend on subscriptions is computed once for each plan.
 */
export const selectionOf = (plan: Plan, subscriptions: Iterable<string>): Selection => {
  const { base, hasRouteCalled } = baseOf(plan);
  const unknown: string[] = [];
  const extra = new Map<string, Versioned>();
  for (const name of subscriptions) {
    const key = `AdapterSpec ${name}`;
    const adapter = plan.get(key);
    if (adapter !== undefined && !base.has(key)) extra.set(key, adapter);
    if (adapter === undefined && !plan.has(`Split ${name}`) && !hasRouteCalled(name)) unknown.push(name);
  }
  return { base, extra, unknown };
};

type Base = { readonly base: Plan; readonly hasRouteCalled: (name: string) => boolean };

const bases = new WeakMap<Plan, Base>();

const baseOf = (plan: Plan): Base => {
  // It was chosen when the plan was compiled.
  if (plan instanceof ViewPlan)
    return { base: plan.sent, hasRouteCalled: (name) => plan.hasRouteCalled(name) };
  let base = bases.get(plan);
  if (base === undefined) {
    base = compute(plan);
    bases.set(plan, base);
  }
  return base;
};

const differences = new WeakMap<Plan, WeakMap<Plan, readonly string[]>>();

/** Keys that are in one only, or at another version; there may be others among them. Computed once for the runtimes that go from one to the other. */
export const differenceOf = (from: Plan, to: Plan): readonly string[] => {
  if (from === to) return [];
  if (from instanceof ViewPlan && to instanceof ViewPlan) return to.differenceFrom(from);
  const known = differences.get(from) ?? new WeakMap<Plan, readonly string[]>();
  differences.set(from, known);
  let keys = known.get(to);
  if (keys === undefined) {
    const changed = [...to].filter(([key, { version }]) => from.get(key)?.version !== version);
    keys = [...changed.map(([key]) => key), ...[...from.keys()].filter((key) => !to.has(key))];
    known.set(to, keys);
  }
  return keys;
};

const compute = (plan: Plan): Base => {
  const named = new Set<ObjectKey>();
  /** What clients call the routes by: not the names of the objects. */
  const clientNames = new Set<string>();
  for (const resource of plan.values()) {
    if (resource.type === 'Split') namedBySplit(resource, named);
    if (resource.type === 'Route') {
      for (const adapter of adaptersOfRoute(namespaceOf(resource.name), resource.body)) named.add(adapter);
      clientNames.add(`${namespaceOf(resource.name)}/${resource.body.model}`);
    }
  }
  const base = new Map<string, Versioned>();
  for (const [key, resource] of plan) {
    const isWanted =
      resource.type !== 'AdapterSpec' ||
      resource.body.tier !== 'None' ||
      resource.body.held ||
      named.has(resource.name);
    if (isWanted) base.set(key, resource);
  }
  return { base, hasRouteCalled: (name) => clientNames.has(name) };
};

const namedBySplit = ({ name, body }: SplitResource, named: Set<ObjectKey>): void => {
  for (const arm of [body.stable, body.former, body.canary]) {
    if (arm !== undefined) named.add(objectKey(namespaceOf(name), arm.adapter));
  }
};
