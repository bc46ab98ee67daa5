import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { AdapterSpec } from '../api/adapter.ts';
import type { Manifest } from '../api/objects.ts';
import { compilePlan, type RuntimeView } from './compile.ts';
import { anAdapter, aRollout, aRoute, aStatus, bound } from './manifests.fixture.ts';
import type { AdapterResource, SplitResource, Versioned } from './resources.ts';

const runtime: RuntimeView = { baseModel: 'tiny', labels: { site: 'factory' } };
const compile = (manifests: readonly Manifest[], view: RuntimeView = runtime) =>
  compilePlan({ manifests, runtime: view });
const keysOf = (manifests: readonly Manifest[]) => [...compile(manifests).plan.keys()];

const adapterBody = (manifests: readonly Manifest[], name: string) =>
  (compile(manifests).plan.get(`AdapterSpec team-a/${name}`) as Versioned<AdapterResource> | undefined)?.body;
const splitBody = (manifests: readonly Manifest[], view: RuntimeView = runtime) =>
  (compile(manifests, view).plan.get('Split team-a/sql') as Versioned<SplitResource> | undefined)?.body;

const canaryStatus = aStatus({
  stable: bound('sql-v1'),
  canary: { ...bound('sql-v2'), seed: '0123456789abcdef', attempt: 1 },
  weights: { canary: 20, stable: 80 },
  history: [bound('sql-v0'), bound('old-1'), bound('old-2'), bound('old-3')],
});

const preload = (tier: AdapterSpec['preload']['tier'], site?: string) => ({
  preload: { tier, ...(site === undefined ? {} : { runtimeSelector: { matchLabels: { site } } }) },
});

const armless = (message: string) => ({ weight: 0, message });

const versionWith = (message: string) => {
  const rollout = aRollout({ name: 'sql' }, { adapter: 'sql-v2' }, { ...canaryStatus, message });
  return compile([rollout]).plan.get('Split team-a/sql')?.version;
};

const codes = (manifests: readonly Manifest[]) =>
  compile(manifests).problems.map(({ kind, key, code, reason }) => `${code} ${kind} ${key}: ${reason}`);

const identityOf = (m: Manifest) => `${m.kind} ${m.metadata.namespace}/${m.metadata.name}`;

describe('adapters in the plan', () => {
  it('are those of the base model', () => {
    expect(keysOf([anAdapter({ name: 'a' }), anAdapter({ name: 'b' }, { baseModel: 'other' })])).toEqual([
      'AdapterSpec team-a/a',
    ]);
  });

  it.each([
    ['None', preload('None')],
    ['Memory', preload('Memory')],
    ['Disk', preload('Disk', 'factory')],
    ['None', preload('Memory', 'office')],
  ] as const)('are wanted at %s by their own preload', (tier, spec) => {
    expect(adapterBody([anAdapter({ name: 'a' }, spec)], 'a')).toMatchObject({ tier, held: false });
  });

  it.each([
    ['stable', 'sql-v1', 'Memory', true],
    ['canary', 'sql-v2', 'Memory', true],
    ['asked for and not bound yet', 'sql-v3', 'Memory', false],
    ['a former stable', 'sql-v0', 'Disk', false],
    ['the last of the history that counts', 'old-2', 'Disk', false],
    ['a former stable beyond the limit', 'old-3', 'None', false],
    ['not named by anything', 'free', 'None', false],
  ])('are wanted by a rollout where they are %s', (_, name, tier, held) => {
    const rollout = aRollout({ name: 'sql' }, { adapter: 'sql-v3', revisionHistoryLimit: 3 }, canaryStatus);
    expect(adapterBody([anAdapter({ name }), rollout], name)).toMatchObject({ tier, held });
  });

  it('stay at the higher tier of preload and rollout', () => {
    const rollout = aRollout({ name: 'sql' }, { adapter: 'sql-v1' }, canaryStatus);
    expect(adapterBody([anAdapter({ name: 'sql-v0' }, preload('Memory')), rollout], 'sql-v0')?.tier).toBe(
      'Memory',
    );
  });

  it('are not brought back to memory after the rollout gave them up, unless they are a new object', () => {
    const abort = { at: '', reason: '', uid: bound('sql-v2').uid, digest: bound('sql-v2').digest };
    const rollout = aRollout(
      { name: 'sql' },
      { adapter: 'sql-v2' },
      aStatus({ stable: bound('sql-v1'), abort }),
    );
    expect(adapterBody([anAdapter({ name: 'sql-v2' }), rollout], 'sql-v2')?.tier).toBe('None');
    expect(adapterBody([anAdapter({ name: 'sql-v2', uid: 'new' }), rollout], 'sql-v2')?.tier).toBe('Memory');
  });

  it('are not wanted by a rollout that does not apply here, or of another namespace', () => {
    const spec = { adapter: 'sql-v1', runtimeSelector: { matchLabels: { site: 'office' } } };
    const elsewhere = aRollout({ name: 'sql' }, spec, canaryStatus);
    const foreign = aRollout({ name: 'sql', namespace: 'team-b' }, { adapter: 'sql-v1' }, canaryStatus);
    expect(adapterBody([anAdapter({ name: 'sql-v1' }), elsewhere, foreign], 'sql-v1')).toMatchObject({
      tier: 'None',
      held: false,
    });
  });
});

describe('the split of a rollout', () => {
  const both = [anAdapter({ name: 'sql-v1' }), anAdapter({ name: 'sql-v2' })];

  it('is what its status says', () => {
    expect(splitBody([...both, aRollout({ name: 'sql' }, { adapter: 'sql-v2' }, canaryStatus)])).toEqual({
      uid: 'AdapterRollout-team-a-sql',
      createdAt: '2023-11-14T22:13:20.000Z',
      stable: bound('sql-v1'),
      former: bound('sql-v0'),
      canary: { ...bound('sql-v2'), seed: '0123456789abcdef', attempt: 1 },
      weight: 20,
      hashOn: 'User',
      guard: { maxConsecutiveErrors: 5 },
      message: '',
    });
  });

  it('leads back to no version that a rollback took away', () => {
    const { canary: _, ...settled } = canaryStatus;
    const history = [bound('sql-v2'), bound('sql-v0')];
    const back = { ...settled, history, completionStatus: 'FastRolledBack' } as const;
    const formerOf = (status: typeof back) =>
      splitBody([...both, aRollout({ name: 'sql' }, { adapter: 'sql-v1' }, status)])?.former;
    expect(formerOf(back)).toEqual(bound('sql-v0'));
    expect(formerOf({ ...back, history: [bound('sql-v2')] })).toBeUndefined();
  });

  it('says that the base model may answer only where the rollout allows it', () => {
    const allowed = (fallbackToBase: boolean) =>
      splitBody([...both, aRollout({ name: 'sql' }, { adapter: 'sql-v2', fallbackToBase }, canaryStatus)]);
    expect(allowed(true)).toMatchObject({ fallbackToBase: true });
    expect(allowed(false)).not.toHaveProperty('fallbackToBase');
  });

  it('mirrors what its status says to a canary, and nothing without one', () => {
    const { canary: _, ...without } = canaryStatus;
    const mirrorOf = (status: typeof without, mirror: number | undefined) =>
      splitBody([
        ...both,
        aRollout(
          { name: 'sql' },
          { adapter: 'sql-v2' },
          { ...status, weights: { ...status.weights, ...(mirror === undefined ? {} : { mirror }) } },
        ),
      ])?.mirror;
    expect([10, undefined].map((mirror) => mirrorOf(canaryStatus, mirror))).toEqual([10, undefined]);
    expect(mirrorOf(without, 10)).toBeUndefined();
  });

  it('keeps arms whose Adapter object is gone: the status decides', () => {
    expect(splitBody([aRollout({ name: 'sql' }, { adapter: 'sql-v2' }, canaryStatus)])?.stable).toEqual(
      bound('sql-v1'),
    );
  });

  it('has no arms without a status, and says so', () => {
    const split = splitBody([...both, aRollout({ name: 'sql' }, { adapter: 'sql-v2' })]);
    expect(split).toMatchObject(
      armless('AdapterRollout team-a/sql has no status yet: nothing was chosen to serve'),
    );
    expect([split?.stable, split?.canary]).toEqual([undefined, undefined]);
  });

  it('has no arms on a runtime that the selector leaves out, and says which labels it wants', () => {
    const spec = {
      adapter: 'sql-v2',
      runtimeSelector: { matchLabels: { site: 'factory', accelerator: 'npu' } },
    };
    const split = splitBody([...both, aRollout({ name: 'sql' }, spec, canaryStatus)]);
    expect(split).toMatchObject(
      armless(
        'AdapterRollout team-a/sql does not apply to this runtime: its runtimeSelector wants accelerator=npu, site=factory',
      ),
    );
    expect([split?.stable, split?.canary]).toEqual([undefined, undefined]);
  });

  it('has no arms for another base model, and says which one it is', () => {
    const split = splitBody([...both, aRollout({ name: 'sql' }, { adapter: 'sql-v2' }, canaryStatus)], {
      ...runtime,
      baseModel: 'big',
    });
    expect(split).toMatchObject(
      armless(
        'AdapterRollout team-a/sql has nothing here: sql-v1 is for the base model tiny, this runtime has big',
      ),
    );
    expect([split?.stable, split?.canary]).toEqual([undefined, undefined]);
  });

  it('passes on why there is no stable adapter yet', () => {
    const rollout = aRollout(
      { name: 'sql' },
      { adapter: 'sql-v2' },
      aStatus({ message: 'sql-v2 is loading' }),
    );
    expect(splitBody([...both, rollout])?.message).toBe(
      'AdapterRollout team-a/sql has no stable adapter yet: sql-v2 is loading',
    );
  });

  it('does not change with the message of a rollout that serves', () => {
    expect(versionWith('12 seconds left')).toBe(versionWith('11 seconds left'));
  });
});

describe('client names', () => {
  it('belong to the oldest object; a route that comes later is not in the plan', () => {
    const objects = [
      aRoute({ name: 'r1', at: 5 }, { model: 'sql' }),
      aRollout({ name: 'sql', at: 1 }, { adapter: 'a' }),
    ];
    expect(keysOf(objects)).toEqual(['Split team-a/sql']);
    expect(codes(objects)).toEqual([
      'NameConflict AdapterRoute team-a/r1: the name sql belongs to the older AdapterRollout team-a/sql: choose another',
    ]);
  });
  it('leave an Adapter that lost its name in the plan: rollouts use it', () => {
    const objects = [anAdapter({ name: 'sql', at: 5 }), aRollout({ name: 'sql', at: 1 }, { adapter: 'sql' })];
    expect(keysOf(objects)).toEqual(['AdapterSpec team-a/sql', 'Split team-a/sql']);
    expect(codes(objects)).toHaveLength(1);
  });
  it('go by the order of lookup among objects of one age and key', () => {
    const objects = [anAdapter({ name: 'sql' }), aRollout({ name: 'sql' }, { adapter: 'sql' })];
    expect(codes(objects)[0]).toMatch(
      /^NameConflict Adapter team-a\/sql: the name sql belongs to the older AdapterRollout/,
    );
  });
  it('may be the same in two namespaces', () => {
    const objects = [anAdapter({ name: 'sql' }), anAdapter({ name: 'sql', namespace: 'team-b' })];
    expect(codes(objects)).toEqual([]);
  });
  it('never take the name of the base model', () => {
    const objects = [anAdapter({ name: 'tiny' }), aRoute({ name: 'r' }, { model: 'tiny' })];
    expect(keysOf(objects)).toEqual([]);
    expect(codes(objects)).toEqual([
      'NameConflict AdapterRoute team-a/r: the name tiny is reserved for the base model: choose another',
      'NameConflict Adapter team-a/tiny: the name tiny is reserved for the base model: choose another',
    ]);
  });
  it('count an object that is there twice once', () => {
    const objects = [
      anAdapter({ name: 'a', at: 2, uid: 'second' }),
      anAdapter({ name: 'a', at: 1, uid: 'first' }),
    ];
    expect(adapterBody(objects, 'a')?.uid).toBe('first');
    expect(codes(objects)).toEqual([
      'DuplicateObject Adapter team-a/a: the object is there twice: the older one counts',
    ]);
  });
});

const name = fc.constantFrom('a', 'b', 'c', 'tiny');
const namespace = fc.constantFrom('team-a', 'team-b');
const identity = fc.record({ name, namespace, at: fc.nat(3), uid: fc.uuid() });
const site = fc.constantFrom(undefined, 'factory', 'office');
const manifest: fc.Arbitrary<Manifest> = fc.oneof(
  fc
    .tuple(identity, fc.constantFrom('None', 'Disk', 'Memory'), fc.constantFrom('tiny', 'big'))
    .map(([id, tier, baseModel]) => anAdapter(id, { baseModel, preload: { tier } })),
  fc
    .tuple(identity, name, site, fc.option(name), fc.nat(100))
    .map(([id, adapter, where, stable, canary]) =>
      aRollout(
        id,
        { adapter, ...(where === undefined ? {} : { runtimeSelector: { matchLabels: { site: where } } }) },
        stable === null
          ? undefined
          : aStatus({ stable: bound(stable), weights: { canary, stable: 100 - canary } }),
      ),
    ),
  fc.tuple(identity, name).map(([id, model]) => aRoute(id, { model })),
);

describe('compilePlan', () => {
  it('does not depend on the order of the manifests', () => {
    const shuffled = fc
      .array(manifest, { maxLength: 12 })
      .chain((list) => fc.tuple(fc.constant(list), fc.shuffledSubarray(list, { minLength: list.length })));
    fc.assert(
      fc.property(shuffled, ([one, other]) => {
        const [a, b] = [compile(one), compile(other)];
        expect([...b.plan]).toEqual([...a.plan]);
        expect(b.problems).toEqual(a.problems);
      }),
    );
  });

  it('leaves only owners to be found by the order of lookup', () => {
    const kindOf = { Route: 'AdapterRoute', Split: 'AdapterRollout', AdapterSpec: 'Adapter' } as const;
    fc.assert(
      fc.property(fc.uniqueArray(manifest, { maxLength: 12, selector: identityOf }), (manifests) => {
        const { plan, problems } = compile(manifests);
        const found = new Map<string, string>();
        for (const type of ['Route', 'Split', 'AdapterSpec'] as const) {
          for (const resource of plan.values()) {
            if (resource.type !== type) continue;
            const [space] = resource.name.split('/');
            const client = resource.type === 'Route' ? `${space}/${resource.body.model}` : resource.name;
            if (!found.has(client)) found.set(client, `${kindOf[type]} ${resource.name}`);
          }
        }
        const losers = problems.map(({ kind, key }) => `${kind} ${key}`);
        expect([...found.values()].filter((owner) => losers.includes(owner))).toEqual([]);
        expect([...found.keys()].filter((client) => client.endsWith('/tiny'))).toEqual([]);
      }),
    );
  });
});
