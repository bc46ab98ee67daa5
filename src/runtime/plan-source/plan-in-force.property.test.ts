import * as fc from 'fast-check';
import { expect, it } from 'vitest';
import { policySpecSchema } from '../../api/policy.ts';
import { adapter, arm, route, split } from '../../control/plans.fixture.ts';
import {
  type Plan,
  type Resource,
  resourceKey,
  type SplitResource,
  type Versioned,
  versioned,
} from '../../plan/resources.ts';
import { world } from '../residency/fake-ports.ts';
import { PlanInForce } from './plan-in-force.ts';

/** A plan in force, and what the others were told of it. */
const start = () => {
  const told = {
    rollouts: new Map<string, unknown>(),
    counted: new Map<string, SplitResource>(),
    residency: [] as unknown[],
  };
  const { residency } = world();
  const plan = new PlanInForce({
    residency: {
      ...residency,
      apply: (resources, _, kept) => {
        told.residency = [resources, [...(kept ?? [])].sort()];
      },
    },
    guard: {
      follow: (rollouts) => {
        told.rollouts = new Map(rollouts);
      },
    },
    counts: {
      follow: (put, gone) => {
        for (const { body } of gone ?? []) told.counted.delete(body.uid);
        for (const one of put) told.counted.set(one.body.uid, one);
      },
    },
    quotas: { follow: () => undefined },
    baseModel: 'tiny',
  });
  const state = () => {
    const { namespaces, splits, adapters, routes, policies, defaultPolicy } = plan.table;
    const entries = [...routes.values()].map(({ key, resource, accepted }) => [key, resource, accepted]);
    const names = [...namespaces]
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([namespace, of]) => [
        namespace,
        [...of.rollouts],
        [...of.adapters],
        [...of.routes].map(([model, { key }]) => [model, key]),
      ]);
    return {
      table: [names, [...splits], [...adapters], entries, [...policies], defaultPolicy],
      residency: told.residency,
      rollouts: [...told.rollouts].sort(([a], [b]) => (a < b ? -1 : 1)),
      counted: [...told.counted].sort(([a], [b]) => (a < b ? -1 : 1)),
    };
  };
  return { plan, state };
};

const name = fc.constantFrom('team-a/x', 'team-a/y', 'team-b/x');
const bound = fc.option(
  fc.constantFrom('x', 'y').map((one) => arm(one)),
  { nil: undefined },
);
const resource: fc.Arbitrary<Resource> = fc.oneof(
  fc.tuple(name, fc.boolean()).map(([at, held]) => adapter(at, { held })),
  fc
    .record({ name, stable: bound, former: bound, weight: fc.nat(2), uid: fc.constantFrom('1', '2') })
    .map(({ name: at, stable, former, weight, uid }) =>
      split(at, {
        uid: `${at} ${uid}`,
        weight,
        ...(stable === undefined ? {} : { stable }),
        ...(former === undefined ? {} : { former }),
      }),
    ),
  fc.tuple(name, fc.constantFrom('m', 'n', 'tiny')).map(([at, model]) => route(at, { model })),
  fc.boolean().map((isDefault) => ({
    type: 'Policy' as const,
    name: 'team-a/default' as Versioned['name'],
    body: { uid: 'uid-policy', isDefault, ...policySpecSchema.parse({}) },
  })),
);
const planOfAll = fc
  .uniqueArray(resource, { selector: resourceKey, maxLength: 8 })
  .map(
    (all): Plan =>
      new Map(
        all
          .map((one) => [resourceKey(one), versioned(one)] as const)
          .toSorted(([a], [b]) => (a < b ? -1 : 1)),
      ),
  );

it('has after any plans what it would have after the last one alone', () => {
  fc.assert(
    fc.property(fc.array(planOfAll, { minLength: 1, maxLength: 6 }), (plans) => {
      const [stepped, fresh] = [start(), start()];
      for (const plan of plans) stepped.plan.apply(plan);
      fresh.plan.apply(plans.at(-1) ?? new Map());
      expect(stepped.state()).toEqual(fresh.state());
    }),
    { numRuns: 400 },
  );
});
