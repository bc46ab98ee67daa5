import { pino } from 'pino';
import { type Digest, type ObjectKey, objectKey } from '../../api/names.ts';
import { AdaptletError } from '../../errors/adaptlet-error.ts';
import { adapterResource } from '../../plan/resources.fixture.ts';
import {
  type Plan,
  type Resource,
  resourceKey,
  type SplitResource,
  type Versioned,
  versioned,
} from '../../plan/resources.ts';
import { FakeClock } from '../../time/fake-clock.ts';
import type { Engine, GenerateEvent, GenerateInput } from '../engine/engine.ts';
import type { EncodeInput, Task } from '../engine/tasks.ts';
import type { Expected, Lease, Residency } from '../residency/manager.ts';
import type { KeepsSessions, ServingFacts } from '../routing/decision.ts';
import { buildTable } from '../routing/table.ts';
import { RolloutCounts } from './counts/rollout-counts.ts';
import { DataPath, type DataPathParts } from './data-path.ts';
import type { Demand } from './demand.ts';
import { servingFacts } from './facts.ts';
import { Guard } from './guard/guard.ts';
import { Holds } from './guard/holds.ts';
import { Quotas } from './quotas/quotas.ts';

const digestOf = (letter: string) => `sha256:${letter.repeat(64)}` as Digest;
export const good = digestOf('a');
export const next = digestOf('b');
export const baseDigest = digestOf('0');
export const key = (name: string) => objectKey('default', name);

export const adapter = (name: string): Resource => adapterResource(key(name));

export const split = (weight: number): Resource => ({
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

export const route = (rules: unknown): Resource =>
  ({
    type: 'Route',
    name: key('front'),
    body: { uid: 'f', createdAt: '', model: 'front', rules },
  }) as Resource;

export const planOf = (...resources: Resource[]): Plan =>
  new Map(resources.map((r) => [resourceKey(r), versioned(r)]));

const done: GenerateEvent = {
  kind: 'done',
  finishReason: 'stop',
  promptTokens: 1,
  completionTokens: 1,
  timing: { queueMs: 0, prefillMs: 0, decodeMs: 0, switchMs: 0 },
};

/** Waits in the queue of an engine until the caller leaves. */
const queued = async (signal: AbortSignal): Promise<void> => {
  const { promise, reject } = Promise.withResolvers<void>();
  signal.addEventListener('abort', () => reject(new AdaptletError('REQUEST_CANCELLED', 'left')));
  await promise;
};

/** A data path over an engine that answers with the adapter's name, or fails as `fail` says. */
export const dataPathOver = (
  plan: Plan,
  resident: Readonly<Record<string, Digest>>,
  demand?: Demand,
  sessions?: KeepsSessions & Required<Pick<ServingFacts, 'kept'>>,
) => {
  const asked: GenerateInput[] = [];
  const encoded: EncodeInput[] = [];
  const references = new Map<string, number>();
  /** What the engine works on: all that it has, but what waits in its queue. */
  const running = new Map<string, { readonly engineName: string | null; events: number }>();
  const state = {
    fail: undefined as Error | undefined,
    /** Who fails, and who is not admitted; absent: everybody. */
    failing: undefined as string | undefined,
    queueing: undefined as string | undefined,
    failAfterFirst: false,
    admits: true,
    /** Called before an error instead of the first event. */
    onFail: () => undefined as void,
    /** Called before an error after the first event. */
    onEnd: () => undefined as void,
    /** Called before the first event. */
    onFirst: () => undefined as void,
    classifier: undefined as string | undefined,
    firstTokenMs: undefined as number | undefined,
    task: 'generate' as Task,
    refuse: new Map<string, AdaptletError>(),
  };
  const engine = {
    info: () => ({ baseDigest, task: state.task }),
    encode: async (input: EncodeInput) => {
      encoded.push(input);
      const isMeant = state.failing === undefined || state.failing === input.engineName;
      if (state.fail !== undefined && isMeant) throw state.fail;
      if (state.classifier === input.engineName)
        return { kind: 'classification', labels: [], rows: [], promptTokens: 0, truncated: [] };
      return { kind: 'embedding', rows: [], promptTokens: 0, truncated: [] };
    },
    async *generate(input: GenerateInput, signal: AbortSignal): AsyncGenerator<GenerateEvent> {
      asked.push(input);
      const isMeant = (who: string | undefined) => who === undefined || who === input.engineName;
      if (!state.admits && isMeant(state.queueing)) await queued(signal);
      const work = { engineName: input.engineName, events: 0 };
      running.set(input.requestId, work);
      using _work = { [Symbol.dispose]: () => running.delete(input.requestId) };
      const fail = isMeant(state.failing) ? state.fail : undefined;
      if (fail !== undefined && !state.failAfterFirst) {
        state.onFail();
        throw fail;
      }
      state.onFirst();
      const { firstTokenMs } = state;
      const computedTokens = input.prompt.kind === 'ids' ? input.prompt.ids.length : 1;
      const token = { kind: 'token', ids: [1], text: input.engineName ?? 'base', computedTokens } as const;
      work.events += 1;
      yield firstTokenMs === undefined ? token : { ...token, firstTokenMs };
      if (fail !== undefined) {
        state.onEnd();
        throw fail;
      }
      signal.throwIfAborted();
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
    serves: (k: ObjectKey, digest: Digest) => resident[k.split('/')[1] ?? ''] === digest,
    state: (k: ObjectKey) => {
      const digest = resident[k.split('/')[1] ?? ''];
      const refusal = state.refuse.get(k);
      if (refusal !== undefined) {
        const { code, what: message, retry } = refusal;
        return { kind: 'Failed', failure: { code, message, retry, since: 0 } };
      }
      return digest === undefined ? { kind: 'Remote' } : { kind: 'Resident', digest };
    },
    tryAcquire: (k: ObjectKey) => (resident[k.split('/')[1] ?? ''] === undefined ? undefined : lease(k)),
    acquire: async (k: ObjectKey) => {
      const refusal = state.refuse.get(k);
      if (refusal !== undefined) throw refusal;
      return lease(k);
    },
    ensure: () => undefined,
    takeLoads: () => 0,
  } as unknown as Residency;
  const clock = new FakeClock();
  const holds = new Holds([], { clock, logger: pino({ enabled: false }), write: async () => undefined });
  const guard = new Guard({ clock, holds });
  guard.follow(new Map([['r1', { guard: { maxConsecutiveErrors: 2 } }]]));
  const tally = new RolloutCounts();
  const { served: counts } = tally;
  tally.follow([...plan.values()].filter((r): r is Versioned<SplitResource> => r.type === 'Split'));
  const tables = { now: buildTable(plan, { name: 'tiny' }) };
  const quotas = new Quotas({
    clock,
    budgets: () => ({ requests: 8, adapterMemory: 1e9, adapterDisk: 1e9, kvMemory: 1e9 }),
    logger: pino({ enabled: false }),
  });
  quotas.follow(tables.now);
  const arrive = (...more: Resource[]) => {
    tables.now = buildTable(new Map([...plan, ...planOf(...more)]), { name: 'tiny' });
    quotas.follow(tables.now);
  };
  const expected: (readonly Expected[])[] = [];
  const parts: DataPathParts = {
    engine,
    clock,
    residency,
    guard,
    counts: tally,
    quotas,
    facts: { ...servingFacts(residency, guard), ...(sessions === undefined ? {} : { kept: sessions.kept }) },
    sessions,
    table: () => tables.now,
    demand,
    expect: (after) => void expected.push(after),
  };
  const path = new DataPath(parts);
  /** The same with more that routing may ask. */
  const withFacts = (more: Partial<ServingFacts>) =>
    new DataPath({ ...parts, facts: { ...parts.facts, ...more } });
  const withMirror = (mirror: NonNullable<DataPathParts['mirror']>) => new DataPath({ ...parts, mirror });
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
    return { id: generation.id, served: generation.served, events };
  };
  const embed = async (model: string) =>
    await path.encode(
      { namespace: 'default', model, user: 'u1', headers: new Map() },
      { texts: [{ kind: 'text', text: 'x' }], output: 'embedding' },
      new AbortController().signal,
    );
  return {
    path,
    withFacts,
    withMirror,
    ask,
    embed,
    tables,
    encoded,
    arrive,
    asked,
    expected,
    references,
    running,
    state,
    clock,
    guard,
    holds,
    counts,
    tally,
    quotas,
    request,
  };
};

export const canaryPlan = planOf(adapter('good'), adapter('next'), split(100));
