import { describe, expect, it } from 'vitest';
import { AdaptletError } from '../../errors/adaptlet-error.ts';
import type { Plan } from '../../plan/resources.ts';
import {
  adapter,
  baseDigest,
  canaryPlan,
  dataPathOver,
  good,
  key,
  next,
  planOf,
  route,
} from './data-path.fixture.ts';
import type { Brought } from './demand.ts';

describe('the data path', () => {
  it('answers a base request without an adapter and names the base digest', async () => {
    const { ask, asked } = dataPathOver(planOf(), {});
    const { served } = await ask('tiny');
    expect(served).toEqual({ adapter: '', digest: baseDigest, rollout: '', arm: 'base', rule: '' });
    expect(asked[0]?.engineName).toBeNull();
  });

  it('tells the engine whose request it is, and with whom it may share what prompts begin with', async () => {
    const { path, asked, request } = dataPathOver(planOf(), {});
    const context = { namespace: 'default', model: 'tiny', headers: new Map(), user: 'u1', session: 's1' };
    const { events } = await path.generate(
      { ...context, tenant: 'acme', priority: 5 },
      request,
      new AbortController().signal,
    );
    await Array.fromAsync(events);
    const whose = { namespace: 'default', tenant: 'acme' };
    const scope = JSON.stringify({ ...whose, isKnown: false });
    expect(asked).toMatchObject([{ ...whose, scope, priority: 5, maxTokens: 4 }]);
  });

  it('says which part of a request begins', async () => {
    const { path, request } = dataPathOver(canaryPlan, { good, next });
    const stages: string[] = [];
    const ask = (model: string) =>
      path.generate(
        { namespace: 'default', model, user: 'u1', headers: new Map() },
        request,
        new AbortController().signal,
        (stage) => {
          stages.push(stage);
        },
      );
    await Array.fromAsync((await ask('sql')).events);
    expect(stages).toEqual(['route', 'load', 'engine']);
    await expect(ask('nothing')).rejects.toMatchObject({ code: 'MODEL_NOT_FOUND' });
    expect(stages.slice(3)).toEqual(['route']);
  });

  it('says what the same route may be asked for next, once a request was let in', async () => {
    const targets = ['good', 'next'].map((name) => ({ adapter: name, weight: name === 'good' ? 100 : 1 }));
    const rules = [{ name: 'all', matches: [], targets, hashOn: 'Request', fallback: [] }];
    const plan = planOf(adapter('good'), adapter('next'), route(rules));
    const { ask, expected } = dataPathOver(plan, { good, next });
    const { served } = await ask('front');
    expect(expected).toEqual([[key(served.adapter === 'good' ? 'next' : 'good')]]);
    await ask('good');
    expect(expected.at(-1)).toEqual([]);
    await expect(ask('nobody')).rejects.toThrow('nobody');
    expect(expected).toHaveLength(2);
  });

  it('gives back its reference after the last event', async () => {
    const { ask, references } = dataPathOver(planOf(adapter('good')), { good });
    expect((await ask('good')).served).toMatchObject({ adapter: 'good', digest: good, arm: '' });
    expect(references.get('good')).toBe(0);
  });

  it('gives back its reference when the consumer leaves early', async () => {
    const { path, references, request } = dataPathOver(planOf(adapter('good')), { good });
    const { events } = await path.generate(
      { namespace: 'default', model: 'good', headers: new Map() },
      request,
      new AbortController().signal,
    );
    for await (const event of events) if (event.kind === 'token') break;
    expect(references.get('good')).toBe(0);
  });

  it('gives back its reference when its caller leaves while it waits in the queue of the engine', async () => {
    const { path, ask, asked, references, state } = dataPathOver(planOf(adapter('good')), { good });
    state.admits = false;
    const caller = new AbortController();
    const answer = ask('good', 'u1', caller.signal);
    await expect.poll(() => asked.length).toBe(1);
    expect([references.get('good'), path.inEngine]).toEqual([1, 1]);
    caller.abort();
    await expect(answer).rejects.toBeDefined();
    expect([references.get('good'), path.inEngine]).toEqual([0, 0]);
  });

  it('gives back its reference when the engine refuses at once', async () => {
    const { ask, references, state } = dataPathOver(planOf(adapter('good')), { good });
    state.fail = new AdaptletError('QUEUE_FULL', 'full');
    await expect(ask('good')).rejects.toMatchObject({ code: 'QUEUE_FULL' });
    expect(references.get('good')).toBe(0);
  });

  it('refuses what the base model does not do before it acquires anything', async () => {
    const { embed, ask, references, state } = dataPathOver(canaryPlan, { good, next });
    await expect(embed('sql')).rejects.toMatchObject({ code: 'TASK_UNSUPPORTED' });
    state.task = 'embed';
    await expect(ask('sql')).rejects.toMatchObject({
      code: 'TASK_UNSUPPORTED',
      message: expect.stringContaining('/v1/embeddings'),
    });
    expect(references.size).toBe(0);
  });

  it('sends users of a resident canary to it and counts them', async () => {
    const { ask, counts } = dataPathOver(canaryPlan, { good, next });
    expect((await ask('sql')).served).toMatchObject({
      adapter: 'next',
      digest: next,
      rollout: 'sql',
      arm: 'canary',
    });
    expect(counts.ofRollout(key('sql'))).toEqual({ stable: 0, canary: 1 });
  });

  it('gives a canary that is not resident no request at all', async () => {
    const { ask } = dataPathOver(canaryPlan, { good });
    expect((await ask('sql')).served).toMatchObject({ adapter: 'good', arm: 'stable' });
  });

  it('goes on to the fallback of a rule, and says so, but never to base by itself', async () => {
    const refused = new AdaptletError('ADAPTER_NOT_AVAILABLE', 'broken');
    const rule = (name: string, user: string, fallback: unknown[]) => ({
      name,
      matches: [{ user: { in: [user] } }],
      targets: [{ adapter: 'good', weight: 1 }],
      hashOn: 'User',
      fallback,
    });
    const { ask, state } = dataPathOver(
      planOf(adapter('good'), route([rule('soft', 'a', [{ base: true }]), rule('hard', 'b', [])])),
      {},
    );
    state.refuse.set(key('good'), refused);
    expect((await ask('front', 'a')).served).toMatchObject({ adapter: '', arm: 'base', rule: 'soft' });
    await expect(ask('front', 'b')).rejects.toBe(refused);
    await expect(ask('front', 'c')).rejects.toMatchObject({ code: 'ADAPTER_NOT_AVAILABLE' });
  });

  it('does not try a fallback for a caller who is gone', async () => {
    const rules = [
      {
        name: 'r',
        matches: [],
        targets: [{ adapter: 'good', weight: 1 }],
        hashOn: 'User',
        fallback: [{ base: true }],
      },
    ];
    const { ask, state, asked } = dataPathOver(planOf(adapter('good'), route(rules)), {});
    const gone = new AdaptletError('REQUEST_CANCELLED', 'left');
    state.refuse.set(key('good'), gone);
    await expect(ask('front', 'a', AbortSignal.abort(gone))).rejects.toBe(gone);
    expect(asked).toEqual([]);
  });

  const toRoute = (adapterName: string, fallback: unknown[] = []) =>
    route([
      { name: 'r', matches: [], targets: [{ adapter: adapterName, weight: 1 }], hashOn: 'User', fallback },
    ]);

  /** Where `brought` says what comes of asking; the adapter `rare` arrives when it is `here`. */
  const withDemand = (plan: Plan, brought: Brought) => {
    const wanted: string[] = [];
    const node = dataPathOver(
      plan,
      { rare: good },
      {
        bring: async (name) => {
          wanted.push(name);
          if (brought === 'here') node.arrive(adapter('rare'));
          return brought;
        },
        used: (name) => void wanted.push(`used ${name}`),
      },
    );
    return { ...node, wanted };
  };

  it('brings an adapter that the plan does not have, once, by its name or as the target of a rule', async () => {
    const byName = withDemand(planOf(), 'here');
    expect((await byName.ask('rare')).served).toMatchObject({ adapter: 'rare' });
    expect((await byName.ask('rare')).served).toMatchObject({ adapter: 'rare' });
    expect(byName.wanted).toEqual(['default/rare', 'used default/rare', 'used default/rare']);
    const byRule = withDemand(planOf(toRoute('rare', [{ base: true }])), 'here');
    expect((await byRule.ask('front')).served).toMatchObject({ adapter: 'rare', rule: 'r' });
  });

  it.each<[Brought, string]>([
    ['unknown', 'the operator knows none either'],
    ['away', 'the operator, which might know it, is not connected'],
    ['late', 'did not answer in time'],
  ])('says what came of asking for a name: %s', async (brought, words) => {
    const { ask } = withDemand(planOf(), brought);
    await expect(ask('rare')).rejects.toMatchObject({
      code: 'MODEL_NOT_FOUND',
      message: expect.stringContaining(words),
    });
    const byRule = withDemand(planOf(toRoute('rare')), brought);
    await expect(byRule.ask('front')).rejects.toMatchObject({
      code: 'ADAPTER_NOT_AVAILABLE',
      message: expect.stringContaining(words),
    });
  });

  it('goes on to the fallback of a rule when its target does not come', async () => {
    const { ask } = withDemand(planOf(toRoute('rare', [{ base: true }])), 'unknown');
    expect((await ask('front')).served).toMatchObject({ arm: 'base', rule: 'r' });
  });

  it.each(['Rare', 'rollout:rare', 'route:rare', 'a/b/c', '../rare', 'rare ', 'UP/rare'])(
    'asks nobody for what no Adapter can be called: %s',
    async (model) => {
      const { ask, wanted } = withDemand(planOf(), 'here');
      await expect(ask(model)).rejects.toMatchObject({ code: 'MODEL_NOT_FOUND' });
      expect(wanted).toEqual([]);
    },
  );
});
