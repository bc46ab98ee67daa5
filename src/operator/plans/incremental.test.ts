import * as fc from 'fast-check';
import { expect, it } from 'vitest';
import { type GroupStatus, groupPoints } from '../../api/group-status.ts';
import { digestSchema, namespaceOf, type ObjectKey, objectKey } from '../../api/names.ts';
import type { Manifest } from '../../api/objects.ts';
import { differenceOf, selectionOf } from '../../control/selection.ts';
import { compilePlan } from '../../plan/compile.ts';
import { anAdapter, aPolicy, aRollout, aRoute, aStatus, bound } from '../../plan/manifests.fixture.ts';
import { resourcesOf } from '../../plan/overlaid.ts';
import { type KeysResource, type Plan, type Versioned, versioned } from '../../plan/resources.ts';
import { FakeClock } from '../../time/fake-clock.ts';
import { Policies } from '../objects/policies.ts';
import { FakeObjects } from './fake-objects.ts';
import { Plans } from './plans.ts';
import { planWhenCordoned } from './when-cordoned.ts';

const digest = digestSchema.parse(`sha256:${'0'.repeat(64)}`);
const names = ['a', 'b', 'b', 'a', 'tiny'];
const namespaces = ['team-a', 'team-a', 'team-a', 'team-b', 'ops'];
const name = fc.constantFrom(...names);
const namespace = fc.constantFrom(...namespaces);
const age = fc.nat(3);
const selector = fc.constantFrom(
  undefined,
  { matchLabels: {} },
  { matchLabels: { site: 'one' } },
  { matchLabels: { site: 'two' } },
);
const some = <T>(value: fc.Arbitrary<T>) => fc.option(value, { nil: undefined });
const without = <T extends object>(value: T) =>
  Object.fromEntries(Object.entries(value).filter(([, one]) => one !== undefined)) as T;

const adapter = fc
  .record({
    name,
    namespace,
    at: age,
    baseModel: fc.constantFrom('tiny', 'tiny', 'other'),
    priority: fc.nat(1),
    tier: fc.constantFrom('None', 'None', 'Memory'),
    runtimeSelector: selector,
    isResolved: fc.boolean(),
    path: fc.constantFrom('good/x', 'bad/x'),
  })
  .map(({ name: own, namespace: of, at: time, tier, runtimeSelector, isResolved, path, ...spec }) =>
    anAdapter(
      { name: own, namespace: of, at: time, uid: `${of}-${own}-${time}` },
      {
        ...spec,
        source: { path: { path } },
        ...(isResolved ? { digest } : {}),
        preload: without({ tier, runtimeSelector }),
      },
    ),
  );

const group = fc.record({
  name: fc.constantFrom('x', 'y'),
  phase: fc.constantFrom('Progressing', 'Succeeded', 'RolledBack', 'Pending'),
  hash: fc.constant(''),
  selector,
  reach: fc.constantFrom(0, groupPoints / 2, groupPoints),
  weight: fc.constantFrom(0, 20, 100),
  step: fc.constant(0),
  message: fc.constant(''),
});

const status = fc
  .record({
    stable: some(name.map(bound)),
    canary: some(name.map((one) => ({ ...bound(one), seed: '0123456789abcdef', attempt: 1 }))),
    history: fc.array(name.map(bound), { maxLength: 3 }),
    weights: fc.constantFrom({ canary: 0, stable: 100 }, { canary: 20, stable: 80, mirror: 5 }),
    groups: some(fc.array(group, { maxLength: 2 })),
    abort: some(fc.constant({ at: '', reason: '', uid: bound('a').uid, digest })),
    message: fc.constantFrom('', 'waits'),
  })
  .map(({ groups, ...more }) =>
    aStatus(without({ ...more, groups: groups?.map((one) => without(one) as GroupStatus) }) as never),
  );

const rollout = fc
  .record({ name, namespace, at: age, adapter: name, runtimeSelector: selector, status: some(status) })
  .map(({ name: own, namespace: of, at: time, status: has, ...spec }) =>
    aRollout(
      { name: own, namespace: of, at: time, uid: `${of}-${own}-${time}` },
      without(spec) as never,
      has,
    ),
  );

const route = fc
  .record({ name, namespace, at: age, model: name, adapter: some(name) })
  .map(({ name: own, namespace: of, at: time, model, adapter: target }) =>
    aRoute({ name: own, namespace: of, at: time, uid: `${of}-${own}-${time}` }, {
      model,
      rules: [
        {
          name: 'all',
          matches: [],
          targets: [target === undefined ? { base: true, weight: 1 } : { adapter: target, weight: 1 }],
          hashOn: 'User',
          fallback: [],
        },
      ],
    } as never),
  );

const policy = fc
  .record({ namespace, adapters: some(fc.nat(2)), isStrict: fc.boolean(), nodes: selector })
  .map(({ namespace: of, adapters, isStrict, nodes }) =>
    aPolicy(of, {
      runtimes: without({ nodes }),
      limits: adapters === undefined ? {} : { adapters },
      ...(isStrict ? { sources: { paths: ['good'] } } : {}),
    }),
  );

type Collections = 'adapters' | 'rollouts' | 'routes' | 'policies';
const collections: Record<Manifest['kind'], Collections> = {
  Adapter: 'adapters',
  AdapterRollout: 'rollouts',
  AdapterRoute: 'routes',
  AdapterPolicy: 'policies',
};
const change = fc.oneof(
  fc.record({
    put: fc.oneof(adapter, rollout, route, policy),
    isValid: fc.constantFrom(true, true, true, false),
  }),
  fc.record({
    gone: fc.constantFrom<Collections>('adapters', 'rollouts', 'routes', 'policies'),
    key: fc.tuple(namespace, name).map(([of, own]) => objectKey(of, own)),
  }),
  fc.record({ runtime: fc.constantFrom('n1', 'n2', 'n3'), site: fc.constantFrom('one', 'two') }),
  fc.record({
    keysOf: fc.constantFrom('team-a', 'team-b'),
    has: fc.constantFrom('none', 'unread', 'a', 'b'),
  }),
);

/** Keys out of Secrets, as they are set. */
class FakeKeys {
  readonly #has = new Map<string, string>();
  readonly #listeners = new Set<() => void>();

  set(of: string, has: string): void {
    this.#has.set(of, has);
    for (const listener of this.#listeners) listener();
  }

  readonly resources = (): readonly Versioned<KeysResource>[] =>
    [...this.#has]
      .filter(([, has]) => has !== 'none' && has !== 'unread')
      .map(([of, has]) => {
        const keys = [{ name: `secret:${has}`, sha256: has.repeat(64) }];
        return versioned({ type: 'Keys', name: objectKey(of, 'secrets'), body: { keys } as never });
      });

  readonly unread = (): readonly ObjectKey[] =>
    [...this.#has].filter(([, has]) => has === 'unread').map(([of]) => objectKey(of, 'secrets'));

  readonly onChange = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  };
}

const runtimes = [
  { kind: 'Node', namespace: 'nodes', name: 'n1', baseModel: 'tiny' },
  { kind: 'Node', namespace: 'nodes', name: 'n2', baseModel: 'tiny' },
  { kind: 'Node', namespace: 'nodes', name: 'n3', baseModel: 'other' },
  { kind: 'Pod', namespace: 'team-a', name: 'n1', baseModel: 'tiny' },
] as const;

/** What the plan of a runtime is when it is compiled from all objects at once. */
const planFromScratch = (
  objects: FakeObjects,
  policies: Policies,
  keys: FakeKeys,
  { kind, namespace: of, name: own, baseModel }: (typeof runtimes)[number],
): Plan => {
  const key = objectKey(of, own);
  const isSeen = (one: string): boolean => kind === 'Node' || one === of;
  const manifests: Manifest[] = [];
  for (const collection of [objects.adapters, objects.rollouts, objects.routes])
    for (const { key: one, object } of collection.list())
      if (object !== undefined && isSeen(namespaceOf(one))) manifests.push(object);
  for (const [governed, binding] of policies.list())
    if (binding.kind === 'Policy' && (isSeen(governed) || governed === 'ops')) manifests.push(binding.policy);
  const labels = objects.runtimes.get(key)?.object?.metadata.labels ?? {};
  const runtime = { baseModel, labels, key, scope: kind === 'Pod' ? of : undefined };
  const seenKeys = keys.resources().filter(({ name: one }) => isSeen(namespaceOf(one)));
  // Where nobody knows the policy there is none, and not that of the operator's namespace.
  const isUnknown = (one: string): boolean => policies.of(one).kind === 'Unknown';
  const plans = [true, false].map((unknown) =>
    compilePlan({
      manifests: manifests.filter(
        ({ kind: what, metadata }) =>
          isUnknown(metadata.namespace) === unknown && !(unknown && what === 'AdapterPolicy'),
      ),
      keys: seenKeys.filter(({ name: one }) => isUnknown(namespaceOf(one)) === unknown),
      runtime,
      policyNamespace: 'ops',
    }),
  );
  const all = plans.flatMap(({ plan }) => [...plan]).sort(([a], [b]) => (a < b ? -1 : 1));
  return new Map(
    all.filter(([, { type, body }]) => type !== 'AdapterSpec' || ('digest' in body && body.digest)),
  );
};

const versionsOf = (plan: ReadonlyMap<string, Versioned>): string[] =>
  [...plan].map(([key, { version }]) => `${key} ${version}`);

it('are at any time what all objects compiled at once give, and tell every difference', () => {
  fc.assert(
    fc.property(fc.array(fc.array(change, { minLength: 1, maxLength: 3 }), { maxLength: 16 }), (bursts) => {
      const objects = new FakeObjects();
      const clock = new FakeClock();
      const policies = new Policies(objects.policies, 'ops');
      const keys = new FakeKeys();
      const plans = new Plans({ objects, clock, policies, keys });
      const all = runtimes.map((runtime) => {
        const { namespace: of, name: own } = runtime;
        const key = objectKey(of, own);
        objects.runtime(of, own, { site: 'one' });
        const state = { isTold: false, before: undefined as Plan | undefined, had: [] as string[] };
        const following = plans.follow({ ...runtime, key }, () => (state.isTold = true));
        return { runtime, following, state };
      });
      for (const burst of bursts) {
        for (const one of burst) apply(objects, keys, one);
        clock.advance(100);
        for (const { runtime, following, state } of all) {
          const now = following.plan();
          const plan = now?.plan ?? new Map();
          const expected = planFromScratch(objects, policies, keys, runtime);
          expect(versionsOf(plan)).toEqual(versionsOf(expected));
          for (const type of ['AdapterSpec', 'Split'] as const) {
            const ofType = [...expected].filter(([, one]) => one.type === type);
            const found = resourcesOf(plan, type);
            expect(versionsOf(found).toSorted()).toEqual(versionsOf(new Map(ofType)).toSorted());
          }
          const { base } = selectionOf(plan, []);
          expect([...base.keys()]).toEqual([...selectionOf(expected, []).base.keys()]);
          const unread = keys
            .unread()
            .filter((one) => runtime.kind === 'Node' || namespaceOf(one) === 'team-a');
          const withheld = [...(now?.withheld ?? [])].filter((one) => one.startsWith('Keys '));
          expect(withheld.toSorted()).toEqual(unread.map((one) => `Keys ${one}`).toSorted());
          expect(now?.revision).toEqual(objects.revision());
          if (state.before !== undefined) {
            expect(versionsOf(state.before)).toEqual(state.had);
            const differs = [...new Set([...state.before.keys(), ...plan.keys()])].filter(
              (key) => state.before?.get(key)?.version !== plan.get(key)?.version,
            );
            expect(differenceOf(state.before, plan)).toEqual(expect.arrayContaining(differs));
            const isOther = versionsOf(selectionOf(state.before, []).base).join() !== versionsOf(base).join();
            if (isOther) expect(state.isTold).toBe(true);
          }
          following.settled({ names: new Set(), hearsAll: false });
          state.isTold = false;
          state.before = plan;
          state.had = versionsOf(plan);
        }
      }
      plans.close();
    }),
    { numRuns: 400 },
  );
});

it('have the adapters that were found before for as long as no adapter changes', () => {
  const objects = new FakeObjects();
  const clock = new FakeClock();
  const plans = new Plans({ objects, clock });
  const key = objectKey('nodes', 'n1');
  objects.runtime('nodes', 'n1', {});
  const following = plans.follow({ key, kind: 'Node', baseModel: 'tiny' }, () => undefined);
  const found = () => {
    clock.advance(100);
    return resourcesOf(following.plan()?.plan ?? expect.fail(), 'AdapterSpec');
  };
  const step = (canary: number) =>
    aRollout(
      { name: 'r' },
      { adapter: 'a' },
      aStatus({ stable: bound('a'), weights: { canary, stable: 100 - canary } }),
    );
  objects.adapters.put(anAdapter({ name: 'a' }, { digest }));
  objects.rollouts.put(step(10));
  const first = found();
  expect([...first.keys()]).toEqual(['AdapterSpec team-a/a']);
  objects.rollouts.put(step(20));
  expect(found()).toBe(first);
  objects.adapters.put(anAdapter({ name: 'b' }, { digest }));
  expect([...found().keys()]).toEqual(['AdapterSpec team-a/a', 'AdapterSpec team-a/b']);
  plans.close();
});

it('let a cordoned runtime have an adapter that it lacks by name, once a route names it', () => {
  const objects = new FakeObjects();
  const clock = new FakeClock();
  const plans = new Plans({ objects, clock });
  const key = objectKey('nodes', 'n1');
  objects.runtime('nodes', 'n1', {});
  const following = plans.follow({ key, kind: 'Node', baseModel: 'tiny' }, () => undefined);
  const isSent = () => {
    clock.advance(100);
    const { plan } = planWhenCordoned({
      plan: following.plan()?.plan ?? expect.fail(),
      withheld: new Set(),
      state: { adapters: new Map(), rollouts: new Map() },
      runtime: { key, labels: {} },
      rolloutOf: () => undefined,
      adapterOf: () => undefined,
      versionOf: () => undefined,
    });
    return selectionOf(plan, []).base.has('AdapterSpec team-a/a');
  };
  objects.adapters.put(anAdapter({ name: 'a' }, { digest, preload: { tier: 'Disk' } }));
  expect(isSent()).toBe(false);
  const rules = [{ name: 'all', targets: [{ adapter: 'a', weight: 1 }], fallback: [] }];
  objects.routes.put(aRoute({ name: 'r' }, { rules } as never));
  expect(isSent()).toBe(true);
  plans.close();
});

let generation = 0;
const apply = (objects: FakeObjects, keys: FakeKeys, one: object): void => {
  if ('put' in one) {
    const { put, isValid } = one as { put: Manifest; isValid: boolean };
    // As an API server counts them.
    generation += 1;
    const written = { ...put, metadata: { ...put.metadata, generation } } as Manifest;
    (objects[collections[put.kind]] as { put(object: Manifest, valid: boolean): void }).put(written, isValid);
  } else if ('gone' in one) {
    const { gone, key } = one as { gone: Collections; key: ObjectKey };
    objects[gone].delete(gone === 'policies' ? objectKey(namespaceOf(key), 'default') : key);
  } else if ('keysOf' in one) {
    const { keysOf, has } = one as { keysOf: string; has: string };
    keys.set(keysOf, has);
  } else {
    const { runtime, site } = one as { runtime: string; site: string };
    objects.runtime('nodes', runtime, { site });
  }
};
