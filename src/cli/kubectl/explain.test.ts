import { describe, expect, it } from 'vitest';
import type { AdapterStatus } from '../../api/adapter-status.ts';
import { fakeDigest } from '../../api/names.fixture.ts';
import type { Manifest } from '../../api/objects.ts';
import { routeSpecSchema, ruleSchema } from '../../api/route.ts';
import type { RuntimeObject } from '../../operator/objects/objects.ts';
import { anAdapter, aPolicy, aRollout, aRoute, aStatus, bound } from '../../plan/manifests.fixture.ts';
import { ago, disconnected, notServing, runtime, runtimeOfPod } from '../doctor/cluster/facts.fixture.ts';
import { contextOf } from '../route/asked.ts';
import { offlineOf } from '../route/offline.ts';
import { explainedText, explainOn } from './explain.ts';

const policyNamespace = 'adaptlet-system';

const route = aRoute(
  { name: 'assistant' },
  routeSpecSchema.parse({
    model: 'assistant',
    rules: [
      { name: 'vip', matches: [{ user: { in: ['u1'] } }], targets: [{ rollout: 'sql' }] },
      {
        name: 'law',
        matches: [{ classifier: { name: 'words', labels: ['law'] } }],
        targets: [{ base: true }],
      },
    ],
    classifiers: [
      {
        name: 'words',
        minConfidence: 0.5,
        keywords: { labels: [{ name: 'law', terms: [{ text: 'court' }] }] },
      },
    ],
  }),
);

const open = (table: Parameters<typeof offlineOf>[0]) =>
  offlineOf(table, { classifiers: [], warn: () => undefined });

it('a request is explained for each node by its plan', async () => {
  const near = runtime('near');
  const baseModel = near.status?.baseModel.name ?? expect.fail('it has no base model');
  const objects = [
    route,
    anAdapter({ name: 'sql-v1' }, { baseModel }),
    aRollout(
      { name: 'sql' },
      { adapter: 'sql-v1', runtimeSelector: { matchLabels: { zone: 'near' } } },
      aStatus({ stable: bound('sql-v1') }),
    ),
    aPolicy('team-a'),
  ];
  const zoned = { ...near, metadata: { ...near.metadata, labels: { zone: 'near' } } };
  const ask = async (asked: { readonly user?: string; readonly prompt?: string }) =>
    await explainOn(
      { objects, runtimes: [zoned, runtime('far'), runtimeOfPod('pod')], policyNamespace },
      contextOf({ model: 'assistant', ...asked }, 'team-a'),
      open,
    );
  const vip = await ask({ user: 'u1' });
  expect(
    vip.map(({ runtime: name, explanation }) => [name, explanation.rule, explanation.candidates[0]?.kind]),
  ).toEqual([
    ['near', 'vip', 'adapter'],
    ['far', 'vip', 'unavailable'],
    ['pod', 'vip', 'unavailable'],
  ]);
  const law = await ask({ prompt: 'see you in court' });
  expect(law.map(({ explanation }) => explanation.rule)).toEqual(['law', 'law', 'law']);
  const denied = await explainOn(
    {
      objects: [
        ...objects.filter(({ kind }) => kind !== 'AdapterPolicy'),
        aPolicy('team-a', { base: 'Deny' }),
      ],
      runtimes: [zoned],
      policyNamespace,
    },
    contextOf({ model: 'assistant', prompt: 'see you in court' }, 'team-a'),
    open,
  );
  expect(denied[0]?.explanation.candidates).toMatchObject([
    { kind: 'unavailable', text: expect.stringContaining('(spec.base: Deny)') },
  ]);
  expect(explainedText(law)).toMatch(/^on near, far, pod:\nroute team-a\/assistant\n- rule vip: no\n/);
});

describe('what answers on a node', () => {
  const { baseModel } = runtime('any').status ?? expect.fail('it has no status');
  const adapters = (counts: Partial<AdapterStatus> = {}) =>
    ['v1', 'v2'].map((name) => ({
      ...anAdapter({ name }, { baseModel: baseModel.name }),
      status: {
        observedGeneration: 1,
        runtimes: { desired: 3, stored: 2, resident: 1, serving: 1, failed: 0 },
        failures: [],
        conditions: [],
        ...counts,
      },
    }));
  const canary = { ...bound('v2'), digest: fakeDigest('2'), seed: '0123456789abcdef', attempt: 1 };
  const rollout = (more: Parameters<typeof aStatus>[0] = {}, fallbackToBase = false) =>
    aRollout({ name: 'sql' }, { adapter: 'v2', fallbackToBase }, aStatus({ stable: bound('v1'), ...more }));
  const underWay = { canary, weights: { canary: 100, stable: 0 } };
  const toRollout = aRoute(
    { name: 'front' },
    { rules: [ruleSchema.parse({ name: 'all', targets: [{ rollout: 'sql' }], fallback: [{ base: true }] })] },
  );

  const answersOn = async (node: RuntimeObject, ...objects: readonly Manifest[]) => {
    const others = ['other', 'third'].map((name) => runtime(name));
    const [found] = await explainOn(
      { objects, runtimes: [node, ...others], policyNamespace },
      contextOf({ model: 'front', user: 'u1' }, 'team-a'),
      open,
    );
    return { answers: found?.explanation.candidates[0]?.text, because: found?.because };
  };
  const withCanary = (state: string, weight: number, more = {}) =>
    runtime('near', { rollouts: [{ rollout: 'team-a/sql', adapter: 'v2', state, weight }], ...more });

  it('is the canary where the status of the node says that it has requests, else stable with why', async () => {
    const objects = [toRollout, rollout(underWay), ...adapters()];
    expect(await answersOn(withCanary('Resident', 100), ...objects)).toEqual({
      answers: expect.stringMatching(/^adapter team-a\/v2@.*canary of rollout sql, Resident$/),
      because: [],
    });
    for (const [node, why] of [
      [withCanary('Loaded', 0), 'Loaded, without requests'],
      [withCanary('Resident', 0), 'Resident, without requests'],
      [runtime('near'), 'on disk on 2 of 3 nodes, in RAM on 1'],
    ] as const) {
      expect(await answersOn(node, ...objects)).toEqual({
        answers: expect.stringMatching(/^adapter team-a\/v1@.*stable of rollout sql/),
        because: [`not adapter team-a/v2: ${why}`],
      });
    }
  });

  it('is told of the nodes that its namespace sees, and counts no others', async () => {
    const elsewhere = {
      ...runtimeOfPod('pod'),
      metadata: { ...runtimeOfPod('pod').metadata, namespace: 'team-b' },
    };
    const hidden = runtime('hidden');
    const labelled = (name: string) => {
      const node = runtime(name);
      return { ...node, metadata: { ...node.metadata, labels: { team: 'a' } } };
    };
    const policy = aPolicy('team-a', { runtimes: { nodes: { matchLabels: { team: 'a' } } } });
    const everywhere = adapters({ runtimes: { desired: 2, stored: 2, resident: 2, serving: 2, failed: 0 } });
    const told = await explainOn(
      {
        objects: [toRollout, rollout(underWay), ...everywhere, policy],
        runtimes: [labelled('near'), labelled('far'), hidden, elsewhere],
        policyNamespace,
      },
      contextOf({ model: 'front', user: 'u1' }, 'team-a'),
      open,
    );
    expect(told.map(({ runtime: name, because }) => [name, because])).toEqual(
      ['near', 'far'].map((name) => [name, ['not adapter team-a/v2: in RAM']]),
    );
  });

  it('is not an adapter that failed there', async () => {
    const failures = [{ runtime: 'near', reason: 'ADAPTER_SHAPE', message: 'wrong rank', time: ago(0) }];
    const target = ruleSchema.parse({
      name: 'all',
      targets: [{ adapter: 'v1' }],
      fallback: [{ base: true }],
    });
    const byName = aRoute({ name: 'front' }, { rules: [target] });
    expect(await answersOn(runtime('near'), byName, ...adapters({ failures }))).toEqual({
      answers: 'the base model',
      because: ['adapter team-a/v1, Failed: ADAPTER_SHAPE: ADAPTER_SHAPE: wrong rank'],
    });
    expect((await answersOn(runtime('far'), byName, ...adapters({ failures }))).answers).toMatch(/^adapter/);
    expect(await answersOn(runtime('near'), toRollout, rollout({}, true), ...adapters({ failures }))).toEqual(
      {
        answers: 'the base model, in place of rollout sql',
        because: ['not adapter team-a/v1: ADAPTER_SHAPE: wrong rank'],
      },
    );
  });

  it('is not a stable that the guard of the node holds back', async () => {
    const failing = { runtime: 'adaptlet-system/near', reason: 'StableFails', message: '5 errors' } as const;
    const objects = [toRollout, rollout({ failures: [failing] }, true), ...adapters()];
    expect(await answersOn(runtime('near'), ...objects)).toEqual({
      answers: 'the base model, in place of rollout sql',
      because: ['not adapter team-a/v1: 5 errors'],
    });
    expect((await answersOn(runtime('far'), ...objects)).because).toEqual([]);
  });

  it('is said with what full lists of the statuses may leave out', async () => {
    const failed = (from: number) =>
      Array.from({ length: 10 }, (_, index) => ({
        runtime: `n${from + index}`,
        reason: 'ADAPTER_SHAPE',
        message: 'wrong rank',
        time: ago(0),
      }));
    const of = async (node: RuntimeObject, ...objects: readonly Manifest[]) =>
      (await answersOn(node, toRollout, ...objects)).because;
    const counts = (count: number) => ({ desired: 20, stored: 9, resident: 9, serving: 9, failed: count });
    const eleven = adapters({ failures: failed(0), runtimes: counts(11) });
    expect(await of(runtime('near'), rollout(), ...eleven)).toEqual([
      'the status of adapter team-a/v1 names 10 of 11 nodes where it failed, and not this one: it may have failed here; adaptlet explain on the node tells',
    ]);
    expect(await of(runtime('n3'), rollout(), ...eleven)).not.toContainEqual(
      expect.stringContaining('may have'),
    );
    const ten = adapters({ failures: failed(0), runtimes: counts(10) });
    expect(await of(runtime('near'), rollout(), ...ten)).toEqual([]);

    const stable = Array.from({ length: 10 }, (_, index) => ({
      runtime: `adaptlet-system/n${index}`,
      reason: 'StableFails' as const,
      message: '5 errors',
    }));
    const guarded = (count: number) => rollout({ failures: stable.slice(0, count) });
    expect(await of(runtime('near'), guarded(10), ...adapters())).toEqual([
      'the status of rollout team-a/sql names 10 nodes that failed, the most it can, and not this one: its guard may hold stable back here; adaptlet explain on the node tells',
    ]);
    expect(await of(runtime('near'), guarded(9), ...adapters())).toEqual([]);

    const refused = Array.from({ length: 10 }, (_, index) => ({
      resource: `Route team-b/r${index}`,
      reason: 'a field',
    }));
    const heldRollouts = refused.map(({ resource }) => resource.slice('Route '.length));
    expect(await of(runtime('near', { refused, heldRollouts }), rollout(), ...adapters())).toEqual([
      'its status names 10 parts of the plan that it refuses, the most it can: it may refuse others; adaptlet explain on the node tells',
      'its status names 10 rollouts of which it holds a version back, the most it can: it may hold others; adaptlet explain on the node tells',
    ]);
  });

  it('is undecided where the list of canaries of the node is full and ends before this one', async () => {
    const listed = (before: string) =>
      Array.from({ length: 64 }, (_, index) => ({
        rollout: `team-a/${before}${String(index).padStart(2, '0')}`,
        adapter: 'other',
        state: 'Resident',
        weight: 1,
      }));
    const of = async (before: string, more: Parameters<typeof rollout>[0] = underWay) => {
      const node = runtime('near', { rollouts: listed(before), pod: 'p1' });
      const [found] = await explainOn(
        { objects: [toRollout, rollout(more), ...adapters()], runtimes: [node], policyNamespace },
        contextOf({ model: 'front', user: 'u1' }, 'team-a'),
        open,
      );
      return found ?? expect.fail('it is not explained');
    };
    const cut = await of('a');
    expect(cut).toMatchObject({
      explanation: { rule: 'all', candidates: [] },
      undecided: expect.stringMatching(
        /^whether adapter team-a\/v2 has requests here as a canary is not in the status of the node, which names 64 rollouts, the most it can; ask the node: kubectl -n adaptlet-system exec p1 /,
      ),
    });
    // The list is in the order of names: this one would be in it.
    for (const known of [await of('z'), await of('a', {})]) {
      expect(known.undecided).toBeUndefined();
      expect(known.explanation.candidates[0]?.text).toMatch(/^adapter team-a\/v1@/);
    }
  });

  it('says where an adapter is that each node has', async () => {
    const of = async (stored: number, resident: number) => {
      const counts = { desired: 3, stored, resident, serving: 0, failed: 0 };
      return (await answersOn(runtime('near'), toRollout, rollout(), ...adapters({ runtimes: counts })))
        .answers;
    };
    expect(await of(3, 3)).toMatch(/, in RAM$/);
    expect(await of(3, 1)).toMatch(/, on disk, in RAM on 1$/);
  });

  it('says of an adapter that is not there that it has to come', async () => {
    const counts = { desired: 3, stored: 0, resident: 0, serving: 0, failed: 0 };
    const objects = [toRollout, rollout()];
    const absent = /not on this node: a request has to bring it first$/;
    expect((await answersOn(runtime('near'), ...objects, ...adapters({ runtimes: counts }))).answers).toMatch(
      absent,
    );
    const empty = runtime('near', { adapters: { known: 2, stored: 0, resident: 0, failed: 0 } });
    expect((await answersOn(empty, ...objects, ...adapters())).answers).toMatch(absent);
  });

  it('comes with why the node may not go by the plan of now', async () => {
    const objects = [toRollout, rollout(), ...adapters()];
    const of = async (node: RuntimeObject) => (await answersOn(node, ...objects)).because?.join();
    const refused = [
      { resource: 'Route team-a/front', reason: 'a field' },
      { resource: 'Route team-b/front', reason: 'a field' },
    ];
    expect(await of(runtime('near', { refused }))).toBe(
      'it refuses Route team-a/front, whose former version goes on: a field',
    );
    expect(await of(disconnected('near'))).toMatch(/^it is not connected since 2026/);
    expect(await of(notServing('near'))).toBe('it cannot answer now: the engine is down');
    expect(await of({ ...runtime('near'), spec: { cordoned: true } })).toMatch(/^it is cordoned/);
    expect(await of({ ...runtime('near'), spec: { held: true } })).toMatch(/^it is held/);
    expect(await of(runtime('near', { heldRollouts: ['team-a/sql'] }))).toBe(
      'it holds a version of rollout team-a/sql back',
    );
  });
});

it('a rule that needs a classifier which cannot run here is undecided, with the command that asks the node', async () => {
  const onnx = { source: { path: { path: 'intent' } }, digest: fakeDigest('1') };
  const classifiers = [{ name: 'intent', minConfidence: 0.5, onnx }];
  const matches = [{ classifier: { name: 'intent', labels: ['law'] } }];
  const rules = [
    { name: 'vip', matches: [{ user: { in: ['u1'] } }], targets: [{ base: true }] },
    { name: 'law', matches, targets: [{ base: true }] },
    { name: 'others', targets: [{ base: true }] },
  ];
  const object = aRoute({ name: 'front' }, routeSpecSchema.parse({ model: 'front', rules, classifiers }));
  const ask = async (asked: { readonly user?: string; readonly prompt?: string }) =>
    await explainOn(
      {
        objects: [object],
        runtimes: [{ ...runtime('near', { pod: 'p1' }), spec: { held: true } }],
        policyNamespace,
      },
      contextOf({ model: 'front', ...asked }, 'team-a'),
      open,
    );
  const found = await ask({ prompt: 'see you in court' });
  expect(found).toMatchObject([{ explanation: { rule: '', candidates: [] } }]);
  const text = explainedText(found);
  expect(text).toContain('\n? rule law: unknown\n');
  expect(text).toMatch(/\nundecided here: classifier intent: .*there is no encoder/);
  expect(text).toContain(
    'kubectl -n adaptlet-system exec p1 -c runtime -- adaptlet explain -n team-a -m front',
  );
  expect(text).toContain('\n  note: it is held: it goes by the plan that it had then\n');
  expect(text).not.toContain('takes the request');
  expect(text).not.toContain('answers:');
  // What it has to say does not matter to these.
  for (const asked of [{ user: 'u1', prompt: 'a' }, {}])
    expect((await ask(asked))[0]).toMatchObject({ explanation: { candidates: [{ kind: 'base' }] } });
});
