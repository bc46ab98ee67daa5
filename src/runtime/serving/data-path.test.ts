import { pino } from 'pino';
import { describe, expect, it } from 'vitest';
import { type Digest, type ObjectKey, objectKey } from '../../api/names.ts';
import { AdaptletError } from '../../errors/adaptlet-error.ts';
import { adapterResource } from '../../plan/resources.fixture.ts';
import type { Plan, Resource } from '../../plan/resources.ts';
import { resourceKey } from '../../plan/resources.ts';
import { versioned } from '../../plan/version.ts';
import { FakeClock } from '../../time/fake-clock.ts';
import type { Engine, GenerateEvent, GenerateInput } from '../engine/engine.ts';
import type { EncodeInput, Task } from '../engine/tasks.ts';
import type { Lease, Residency } from '../residency/manager.ts';
import { buildTable } from '../routing/table.ts';
import { DataPath } from './data-path.ts';
import type { Brought, Demand } from './demand.ts';
import { servingFacts } from './facts.ts';
import { Holds } from './holds.ts';
import { ServedCounts } from './served-counts.ts';

const digestOf = (letter: string) => `sha256:${letter.repeat(64)}` as Digest;
const good = digestOf('a');
const next = digestOf('b');
const baseDigest = digestOf('0');
const key = (name: string) => objectKey('default', name);

const adapter = (name: string): Resource => adapterResource(key(name));

const split = (weight: number): Resource => ({
  type: 'Split',
  name: key('sql'),
  body: {
    uid: 'r1',
    createdAt: '',
    stable: { adapter: 'good', uid: 'good', digest: good },
    canary: { adapter: 'next', uid: 'next', digest: next, seed: '00000000000000aa', attempt: 1 },
    weight,
    hashOn: 'User',
    guard: { maxConsecutiveErrors: 2 },
    message: '',
  },
});

const route = (rules: unknown): Resource =>
  ({
    type: 'Route',
    name: key('front'),
    body: { uid: 'f', createdAt: '', model: 'front', rules },
  }) as Resource;

const planOf = (...resources: Resource[]): Plan =>
  new Map(resources.map((r) => [resourceKey(r), versioned(r)]));

const done: GenerateEvent = {
  kind: 'done',
  finishReason: 'stop',
  promptTokens: 1,
  completionTokens: 1,
  timing: { queueMs: 0, prefillMs: 0, decodeMs: 0, switchMs: 0 },
};

/** A data path over an engine that answers with the adapter's name, or fails as `fail` says. */
const make = (plan: Plan, resident: Readonly<Record<string, Digest>>, demand?: Demand) => {
  const asked: GenerateInput[] = [];
  const encoded: EncodeInput[] = [];
  const references = new Map<string, number>();
  const state = {
    fail: undefined as Error | undefined,
    failAfterFirst: false,
    admits: true,
    task: 'generate' as Task,
    refuse: new Map<string, AdaptletError>(),
  };
  const engine = {
    info: () => ({ baseDigest, task: state.task }),
    encode: async (input: EncodeInput) => {
      encoded.push(input);
      if (state.fail !== undefined) throw state.fail;
      return { kind: 'embedding', rows: [], promptTokens: 0, truncated: [] };
    },
    async *generate(input: GenerateInput, signal: AbortSignal): AsyncGenerator<GenerateEvent> {
      asked.push(input);
      if (!state.admits) await new Promise((_, reject) => signal.addEventListener('abort', reject));
      if (state.fail !== undefined && !state.failAfterFirst) throw state.fail;
      yield { kind: 'token', ids: [1], text: input.adapter ?? 'base' };
      if (state.fail !== undefined) throw state.fail;
      yield done;
    },
  } as unknown as Engine;
  const lease = (k: ObjectKey): Lease => {
    const name = k.split('/')[1] ?? '';
    references.set(name, (references.get(name) ?? 0) + 1);
    return {
      engineName: `${k}--x`,
      key: k,
      name,
      digest: resident[name] ?? good,
      [Symbol.dispose]: () => references.set(name, (references.get(name) ?? 0) - 1),
    };
  };
  const residency = {
    isResident: (k: ObjectKey, digest: Digest) => resident[k.split('/')[1] ?? ''] === digest,
    tryAcquire: (k: ObjectKey) => (resident[k.split('/')[1] ?? ''] === undefined ? undefined : lease(k)),
    acquire: async (k: ObjectKey) => {
      const refusal = state.refuse.get(k);
      if (refusal !== undefined) throw refusal;
      return lease(k);
    },
    ensure: () => undefined,
  } as unknown as Residency;
  const holds = new Holds(new FakeClock(), [], {
    held: () => undefined,
    changed: async () => undefined,
    logger: pino({ enabled: false }),
  });
  holds.follow(new Map([['r1', { guard: { maxConsecutiveErrors: 2 } }]]));
  const counts = new ServedCounts();
  const tables = { now: buildTable(plan, { name: 'tiny' }) };
  const arrive = (...more: Resource[]) => {
    tables.now = buildTable(new Map([...plan, ...planOf(...more)]), { name: 'tiny' });
  };
  const path = new DataPath({
    engine,
    residency,
    holds,
    counts,
    facts: servingFacts(residency, holds),
    table: () => tables.now,
    demand,
  });
  const request = {
    prompt: { kind: 'text', text: 'x' },
    maxTokens: 4,
    sampling: { temperature: 0, topP: 1, topK: 0 },
    stop: [],
  } as const;
  const ask = async (model: string, user = 'u1', signal = new AbortController().signal) => {
    const generation = await path.generate(
      { namespace: 'default', model, user, headers: new Map() },
      request,
      signal,
    );
    const events = await Array.fromAsync(generation.events);
    return { served: generation.served, events };
  };
  const embed = async (model: string) =>
    await path.encode(
      { namespace: 'default', model, user: 'u1', headers: new Map() },
      { texts: [{ kind: 'text', text: 'x' }], output: 'embedding' },
      new AbortController().signal,
    );
  return { path, ask, embed, encoded, arrive, asked, references, state, holds, counts, request };
};

const canaryPlan = planOf(adapter('good'), adapter('next'), split(100));

describe('the data path', () => {
  it('answers a base request without an adapter and names the base digest', async () => {
    const { ask, asked } = make(planOf(), {});
    const { served } = await ask('tiny');
    expect(served).toEqual({ adapter: '', digest: baseDigest, rollout: '', arm: 'base', rule: '' });
    expect(asked[0]?.adapter).toBeNull();
  });

  it('tells the engine whose request it is, and which session it may continue', async () => {
    const { path, asked, request } = make(planOf(), {});
    const context = { namespace: 'default', model: 'tiny', headers: new Map(), user: 'u1', session: 's1' };
    const { events } = await path.generate(
      { ...context, tenant: 'acme', priority: 5 },
      request,
      new AbortController().signal,
    );
    await Array.fromAsync(events);
    expect(asked).toMatchObject([
      { tenant: 'acme', session: '["default","acme","u1","s1"]', priority: 5, maxTokens: 4 },
    ]);
  });

  it('gives back its reference after the last event', async () => {
    const { ask, references } = make(planOf(adapter('good')), { good });
    expect((await ask('good')).served).toMatchObject({ adapter: 'good', digest: good, arm: '' });
    expect(references.get('good')).toBe(0);
  });

  it('gives back its reference when the consumer leaves early', async () => {
    const { path, references, request } = make(planOf(adapter('good')), { good });
    const { events } = await path.generate(
      { namespace: 'default', model: 'good', headers: new Map() },
      request,
      new AbortController().signal,
    );
    for await (const event of events) if (event.kind === 'token') break;
    expect(references.get('good')).toBe(0);
  });

  it('gives back its reference when its caller leaves while it waits in the queue of the engine', async () => {
    const { path, ask, asked, references, state } = make(planOf(adapter('good')), { good });
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
    const { ask, references, state } = make(planOf(adapter('good')), { good });
    state.fail = new AdaptletError('QUEUE_FULL', 'full');
    await expect(ask('good')).rejects.toMatchObject({ code: 'QUEUE_FULL' });
    expect(references.get('good')).toBe(0);
  });

  it('answers a request for embeddings by the same routes, counts and guards', async () => {
    const { embed, encoded, counts, holds, references, state } = make(canaryPlan, { good, next });
    state.task = 'embed';
    expect((await embed('sql')).served).toMatchObject({ adapter: 'next', digest: next, arm: 'canary' });
    expect(encoded[0]).toMatchObject({ adapter: 'default/next--x', output: 'embedding' });
    expect(counts.of(key('sql'))).toEqual({ stable: 0, canary: 1 });
    state.fail = new AdaptletError('LOGITS_NOT_FINITE', 'NaN');
    for (let i = 0; i < 2; i++)
      await expect(embed('sql')).rejects.toMatchObject({ code: 'LOGITS_NOT_FINITE' });
    expect(holds.isHeld('r1', next)).toBe(true);
    expect(references.get('next')).toBe(0);
  });

  it('refuses what the base model does not do before it acquires anything', async () => {
    const { embed, ask, references, state } = make(canaryPlan, { good, next });
    await expect(embed('sql')).rejects.toMatchObject({ code: 'TASK_UNSUPPORTED' });
    state.task = 'embed';
    await expect(ask('sql')).rejects.toMatchObject({
      code: 'TASK_UNSUPPORTED',
      message: expect.stringContaining('/v1/embeddings'),
    });
    expect(references.size).toBe(0);
  });

  it('sends users of a resident canary to it and counts them', async () => {
    const { ask, counts } = make(canaryPlan, { good, next });
    expect((await ask('sql')).served).toMatchObject({
      adapter: 'next',
      digest: next,
      rollout: 'sql',
      arm: 'canary',
    });
    expect(counts.of(key('sql'))).toEqual({ stable: 0, canary: 1 });
  });

  it('gives a canary that is not resident no request at all', async () => {
    const { ask } = make(canaryPlan, { good });
    expect((await ask('sql')).served).toMatchObject({ adapter: 'good', arm: 'stable' });
  });

  it.each([false, true])(
    'holds a failing canary from the next request on (failing after the first token: %s)',
    async (late) => {
      const { ask, holds, state } = make(canaryPlan, { good, next });
      state.fail = new AdaptletError('INTERNAL', 'it broke');
      state.failAfterFirst = late;
      for (let i = 0; i < 2; i++) await expect(ask('sql')).rejects.toMatchObject({ code: 'INTERNAL' });
      state.fail = undefined;
      expect(holds.isHeld('r1', next)).toBe(true);
      expect((await ask('sql')).served).toMatchObject({ adapter: 'good', arm: 'stable' });
    },
  );

  it.each(['REQUEST_CANCELLED', 'DEADLINE_EXCEEDED', 'QUEUE_FULL', 'REQUEST_INVALID'] as const)(
    'does not blame a canary for %s',
    async (code) => {
      const { ask, holds, state } = make(canaryPlan, { good, next });
      state.fail = new AdaptletError(code, 'not its fault');
      for (let i = 0; i < 5; i++) await expect(ask('sql')).rejects.toMatchObject({ code });
      expect(holds.isHeld('r1', next)).toBe(false);
    },
  );

  it('goes on to the fallback of a rule, and says so, but never to base by itself', async () => {
    const refused = new AdaptletError('ADAPTER_NOT_AVAILABLE', 'broken');
    const rule = (name: string, user: string, fallback: unknown[]) => ({
      name,
      matches: [{ user: { in: [user] } }],
      targets: [{ adapter: 'good', weight: 1 }],
      hashOn: 'User',
      fallback,
    });
    const { ask, state } = make(
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
    const { ask, state, asked } = make(planOf(adapter('good'), route(rules)), {});
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
    const node = make(
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
