import * as fc from 'fast-check';
import { expect, it } from 'vitest';
import type { AdapterObject, Manifest, RolloutObject, RouteObject } from '../api/objects.ts';
import { type CompiledPlan, compilePlan, type RuntimeView } from './compile.ts';
import { anAdapter, aRollout, aRoute, aStatus, bound } from './manifests.fixture.ts';

const names = ['a', 'b', 'c', 'tiny'] as const;
const anyName = fc.constantFrom(...names);
const anyNamespace = fc.constantFrom('team-a', 'team-b');
const anyBaseModel = fc.constantFrom('tiny', 'other');
const anyAge = fc.integer({ min: 0, max: 2 });
const anySelector = fc.constantFrom(undefined, { matchLabels: { zone: 'x' } });
const selected = (selector: { matchLabels: { zone: string } } | undefined) =>
  selector === undefined ? {} : { runtimeSelector: selector };
const anyIdentity = fc.record({ name: anyName, namespace: anyNamespace, at: anyAge });
const seed = '0'.repeat(16);

const adapter: fc.Arbitrary<Manifest> = fc
  .record({
    identity: anyIdentity,
    baseModel: anyBaseModel,
    tier: fc.constantFrom('None', 'Disk', 'Memory'),
    runtimeSelector: anySelector,
  })
  .map(({ identity, baseModel, tier, runtimeSelector }) =>
    anAdapter(identity, { baseModel, preload: { tier, ...selected(runtimeSelector) } }),
  );

const rollout: fc.Arbitrary<Manifest> = fc
  .record({
    identity: anyIdentity,
    target: anyName,
    runtimeSelector: anySelector,
    status: fc.option(
      fc.record({
        stable: fc.option(anyName),
        canary: fc.option(anyName),
        former: fc.option(anyName),
        weight: fc.integer({ min: 0, max: 100 }),
        message: fc.constantFrom('', 'waits'),
      }),
    ),
  })
  .map(({ identity, target, runtimeSelector, status }) =>
    aRollout(
      identity,
      { adapter: target, ...selected(runtimeSelector) },
      status === null
        ? undefined
        : aStatus({
            message: status.message,
            weights: { canary: status.weight, stable: 100 - status.weight },
            history: status.former === null ? [] : [bound(status.former)],
            ...(status.stable === null ? {} : { stable: bound(status.stable) }),
            ...(status.canary === null ? {} : { canary: { ...bound(status.canary), seed, attempt: 1 } }),
          }),
    ),
  );

const route: fc.Arbitrary<Manifest> = fc
  .record({ identity: anyIdentity, model: anyName })
  .map(({ identity, model }) => aRoute(identity, { model }));

const object = fc.oneof(adapter, rollout, route);
const runtimes: readonly RuntimeView[] = ['tiny', 'other'].flatMap((baseModel) =>
  [{}, { zone: 'x' }].map((labels) => ({ baseModel, labels })),
);

/** Another object in the place of an old one, one more, one less. */
type Edit = { readonly index: number; readonly next: Manifest | undefined };
const edit: fc.Arbitrary<Edit> = fc.record({
  index: fc.nat(12),
  next: fc.option(object, { nil: undefined }),
});

const edited = (objects: readonly Manifest[], { index, next }: Edit): Manifest[] =>
  objects.toSpliced(index, 1, ...(next === undefined ? [] : [next]));

/** In an order, so that the order of keys counts too. */
const readable = ({ plan, problems }: CompiledPlan) => ({ plan: [...plan], problems });

it('compiles the same from objects that it has seen before as from new ones, after any edits', () => {
  fc.assert(
    fc.property(fc.array(object, { maxLength: 12 }), fc.array(edit, { maxLength: 8 }), (first, edits) => {
      let manifests = first;
      for (const change of [undefined, ...edits]) {
        if (change !== undefined) manifests = edited(manifests, change);
        for (const runtime of runtimes) {
          const compiled = compilePlan({ manifests, runtime });
          const fresh = compilePlan({ manifests: structuredClone(manifests), runtime });
          expect(readable(compiled)).toEqual(readable(fresh));
        }
      }
    }),
    { numRuns: 200 },
  );
});

it('compiles nothing again of what did not change', () => {
  const many = (count: number) => Array.from({ length: count }, (_, i) => `x${i}`);
  const adapters: AdapterObject[] = many(20).map((one) => anAdapter({ name: one }));
  const routes: RouteObject[] = many(5).map((one) => aRoute({ name: `route-${one}` }));
  const rollouts: RolloutObject[] = many(5).map((one) =>
    aRollout({ name: `r-${one}` }, { adapter: one }, aStatus({ stable: bound(one) })),
  );
  const runtime: RuntimeView = { baseModel: 'tiny', labels: {} };
  const before = compilePlan({ manifests: [...adapters, ...routes, ...rollouts], runtime }).plan;
  const next = aRollout({ name: 'r-x0' }, { adapter: 'x7' }, aStatus({ stable: bound('x0') }));
  const manifests = [...adapters, ...routes, next, ...rollouts.slice(1)];
  const after = compilePlan({ manifests, runtime }).plan;
  const anew = [...after].filter(([key, resource]) => resource !== before.get(key));
  // The rollout that changed, and the adapter that it wants in memory now.
  expect(anew.map(([key]) => key)).toEqual(['AdapterSpec team-a/x7', 'Split team-a/r-x0']);
});
