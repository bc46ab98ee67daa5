import type { Manifest } from '../../api/objects.ts';
import { compilePlan, type RuntimeView } from '../../plan/compile.ts';
import type { Plan, Resource, Versioned } from '../../plan/resources.ts';
import type { Objects } from '../objects/objects.ts';

/** The objects at one moment, as plans are compiled from them. */
export type Snapshot = {
  /** Every object that is valid. One that is being deleted counts while a finalizer holds it. */
  readonly manifests: readonly Manifest[];
  /** Keys of resources whose object is there and not valid: they neither change nor go. */
  readonly withheld: ReadonlySet<string>;
};

export const snapshotOf = ({ adapters, rollouts, routes }: Objects): Snapshot => {
  const manifests: Manifest[] = [];
  const withheld = new Set<string>();
  const take = (
    type: Resource['type'],
    reads: Iterable<{ readonly key: string; readonly object?: Manifest }>,
  ) => {
    for (const { key, object } of reads) {
      if (object === undefined) withheld.add(`${type} ${key}`);
      else manifests.push(object);
    }
  };
  take('AdapterSpec', adapters.list());
  take('Split', rollouts.list());
  take('Route', routes.list());
  return { manifests, withheld };
};

/**
 * The plan of a view. An Adapter whose digest nobody has resolved yet is left out, though it keeps its name: two nodes
 * would else run different weights under one tag.
 *
 * @param former the plan before; resources that are the same are the same objects, and so is the plan
 */
export const planOf = ({ manifests }: Snapshot, runtime: RuntimeView, former: Plan | undefined): Plan => {
  const compiled = compilePlan({ manifests, runtime }).plan;
  const plan = new Map<string, Versioned>();
  let same = true;
  for (const [key, resource] of compiled) {
    if (resource.type === 'AdapterSpec' && resource.body.digest === undefined) continue;
    const before = former?.get(key);
    const kept = before?.version === resource.version ? before : resource;
    same &&= kept === before;
    plan.set(key, kept);
  }
  return former !== undefined && same && former.size === plan.size ? former : plan;
};
