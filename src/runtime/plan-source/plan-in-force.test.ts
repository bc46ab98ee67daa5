import { expect, it } from 'vitest';
import { policySpecSchema } from '../../api/policy.ts';
import { adapter, adapters, arm, route, split } from '../../control/plans.fixture.ts';
import { type Resource, resourceKey, type Versioned, versioned } from '../../plan/resources.ts';
import { world } from '../residency/fake-ports.ts';
import type { Residency } from '../residency/manager.ts';
import { RolloutCounts } from '../serving/counts/rollout-counts.ts';
import { PlanInForce } from './plan-in-force.ts';

const policy = (more: object = {}): Resource => ({
  type: 'Policy',
  name: 'team-a/default' as Versioned['name'],
  body: { uid: 'uid-policy', isDefault: false, ...policySpecSchema.parse(more) },
});

/** A plan in force whose residency counts how often it is told of one. */
const start = () => {
  let told = 0;
  const { residency } = world();
  const counting: Residency = {
    ...residency,
    apply: (...of) => {
      told++;
      residency.apply(...of);
    },
  };
  const plan = new PlanInForce({
    residency: counting,
    guard: { follow: () => undefined },
    counts: new RolloutCounts(),
    quotas: { follow: () => undefined },
    baseModel: 'tiny',
  });
  const resources = new Map<string, Versioned>();
  const set = (...changes: Resource[]): number => {
    for (const change of changes) resources.set(resourceKey(change), versioned(change));
    const before = told;
    plan.apply(new Map(resources));
    return told - before;
  };
  const remove = (key: string): number => {
    resources.delete(key);
    const before = told;
    plan.apply(new Map(resources));
    return told - before;
  };
  return { set, remove, plan, resources };
};

/** The same resource, which counts how often its body is read. */
const watched = (resource: Versioned, read: () => void): Versioned =>
  Object.defineProperty({ ...resource }, 'body', {
    get: () => {
      read();
      return resource.body;
    },
  });

it('looks into what is other than before, however much else there is', () => {
  const { set, plan, resources } = start();
  let reads = 0;
  for (const one of adapters(50).flatMap((each, n) => [each, split(`s-${n}`), route(`r-${n}`)]))
    resources.set(
      resourceKey(one),
      watched(versioned(one), () => {
        reads += 1;
      }),
    );
  set(split('s', { weight: 1 }));
  const { table } = plan;
  reads = 0;
  set(split('s', { weight: 2 }));
  expect(reads).toBe(0);
  expect(plan.table.adapters).toBe(table.adapters);
  expect(plan.table.routes).toBe(table.routes);
  expect([...plan.table.splits.values()].filter((one) => table.splits.get(one.name) !== one)).toEqual([
    versioned(split('s', { weight: 2 })),
  ]);
});

it('tells residency of what it depends on, and not of a step of a rollout nor of a route', () => {
  const { set, remove, plan } = start();
  expect(set(adapter('a'), adapter('b'), split('s', { stable: arm('a') }))).toBe(1);
  expect(
    set(split('s', { stable: arm('a'), canary: { ...arm('b'), seed: 'x', attempt: 1 }, weight: 5 })),
  ).toBe(0);
  expect(plan.table.splits.get('team-a/s' as never)?.body.weight).toBe(5);
  expect(set(route('r'))).toBe(0);
  expect(set(adapter('b', { held: true }))).toBe(1);
  expect(set(policy())).toBe(1);
  expect(set(policy({ sources: { paths: ['team/x'] } }))).toBe(1);
  // What a rollback goes back to stays on the disk.
  expect(set(split('s', { stable: arm('a'), former: arm('b') }))).toBe(1);
  expect(remove('Policy team-a/default')).toBe(1);
  expect(remove('AdapterSpec team-a/b')).toBe(1);
  expect(remove('Route team-a/r')).toBe(0);
});
