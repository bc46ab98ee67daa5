import { pino } from 'pino';
import { type Digest, type ObjectKey, objectKey } from '../../../api/names.ts';
import { AdaptletError } from '../../../errors/adaptlet-error.ts';
import { adapterResource } from '../../../plan/resources.fixture.ts';
import { resourceKey, type SplitResource, versioned } from '../../../plan/resources.ts';
import { FakeClock } from '../../../time/fake-clock.ts';
import type { Engine, EngineState, GenerateEvent, GenerateInput, Sampling } from '../../engine/engine.ts';
import type { EncodeInput, EncodeResult, Task } from '../../engine/tasks.ts';
import type { Lease, Residency } from '../../residency/manager.ts';
import type { RequestContext } from '../../routing/request.ts';
import { buildTable } from '../../routing/table.ts';
import { RolloutCounts } from '../counts/rollout-counts.ts';
import { DataPath } from '../data-path.ts';
import { servingFacts } from '../facts.ts';
import { Guard } from '../guard/guard.ts';
import { Holds } from '../guard/holds.ts';
import { Quotas } from '../quotas/quotas.ts';
import { Mirror } from './mirror.ts';

const digestOf = (letter: string) => `sha256:${letter.repeat(64)}` as Digest;
export const stable = digestOf('a');
export const canary = digestOf('b');
export const former = digestOf('c');
export const uid = 'r1';
const key = (name: string): ObjectKey => objectKey('default', name);

type Body = SplitResource['body'];
/** undefined: it is left out. */
export type SplitChange = { readonly [K in keyof Body]?: Body[K] | undefined };

const splitOf = (change: SplitChange): SplitResource => {
  const body = {
    uid,
    createdAt: '',
    stable: { adapter: 'good', uid: 'good', digest: stable },
    canary: { adapter: 'next', uid: 'next', digest: canary, seed: '00000000000000aa', attempt: 1 },
    weight: 0,
    mirror: 100,
    hashOn: 'User',
    guard: { maxConsecutiveErrors: 2 },
    message: '',
    ...change,
  };
  const there = Object.fromEntries(Object.entries(body).filter(([, value]) => value !== undefined));
  return { type: 'Split', name: key('sql'), body: there as Body };
};

const tableOf = (split: SplitResource) => {
  const resources = [adapterResource(key('good')), adapterResource(key('next')), split];
  return buildTable(new Map(resources.map((r) => [resourceKey(r), versioned(r)])), { name: 'tiny' });
};

const digestOfKey = (k: ObjectKey): Digest =>
  k === key('next') ? canary : k === key('old') ? former : stable;
const whoOf = (adapter: string | null) => (adapter === 'next' ? 'next' : 'good');

/** For tests: one answer of the engine; `firstTokenMs` and `cachedTokens` as the engine says them. */
export type Scripted = {
  ids?: readonly number[];
  firstTokenMs?: number;
  cachedTokens?: number;
  fail?: Error;
  encoded?: EncodeResult;
};

/**
 * For tests: a node whose engine answers by adapter as it is told. A canary whose `gate` is closed has been asked and does
 * not answer before the gate opens, or its signal is aborted.
 */
export const mirrorNode = (change: SplitChange = {}) => {
  const clock = new FakeClock();
  const answers: Record<'good' | 'next', Scripted> = { good: { ids: [1, 2, 3] }, next: { ids: [1, 2, 3] } };
  const asked: GenerateInput[] = [];
  const encoded: EncodeInput[] = [];
  const state = {
    engine: 'ready' as EngineState,
    task: 'generate' as Task,
    gate: undefined as PromiseWithResolvers<void> | undefined,
    most: 0,
    waiting: 0,
    maxConcurrent: 8,
    isResident: true,
    leases: 0,
  };
  let atOnce = 0;
  const passGate = async (signal: AbortSignal): Promise<void> => {
    const { promise, reject } = Promise.withResolvers<void>();
    const leave = () => reject(new AdaptletError('REQUEST_CANCELLED', 'left'));
    signal.addEventListener('abort', leave, { once: true });
    if (signal.aborted) leave();
    await Promise.race([promise, state.gate?.promise ?? Promise.resolve()]);
  };
  const asCanary = async <T>(who: string, signal: AbortSignal, answer: () => T): Promise<T> => {
    if (who !== 'next') return answer();
    state.most = Math.max(state.most, ++atOnce);
    try {
      await passGate(signal);
      return answer();
    } finally {
      atOnce--;
    }
  };
  const engine = {
    get state() {
      return state.engine;
    },
    info: () => ({ baseDigest: digestOf('0'), task: state.task }),
    encode: async (input: EncodeInput, signal: AbortSignal) => {
      encoded.push(input);
      const who = whoOf(input.engineName);
      return await asCanary(who, signal, () => {
        const { fail, encoded: result } = answers[who];
        if (fail !== undefined) throw fail;
        return result ?? { kind: 'embedding', rows: [], promptTokens: 0, truncated: [] };
      });
    },
    async *generate(input: GenerateInput, signal: AbortSignal): AsyncGenerator<GenerateEvent> {
      asked.push(input);
      const who = whoOf(input.engineName);
      const { ids = [], firstTokenMs, cachedTokens, fail } = await asCanary(who, signal, () => answers[who]);
      if (fail !== undefined) throw fail;
      for (const [i, id] of ids.entries()) {
        const token = { kind: 'token', ids: [id], text: `${id}` } as const;
        yield i > 0 || firstTokenMs === undefined ? token : { ...token, firstTokenMs };
        if (signal.aborted) throw new AdaptletError('REQUEST_CANCELLED', 'left');
      }
      yield {
        kind: 'done',
        finishReason: 'stop',
        promptTokens: 1,
        completionTokens: ids.length,
        ...(cachedTokens === undefined ? {} : { cachedTokens }),
        timing: { queueMs: 0, prefillMs: 0, decodeMs: 0, switchMs: 0 },
      };
    },
  } as unknown as Engine;
  const lease = (k: ObjectKey): Lease => {
    const name = k.split('/')[1] ?? '';
    state.leases++;
    return {
      engineName: name,
      key: k,
      name,
      digest: digestOfKey(k),
      [Symbol.dispose]: () => state.leases--,
    };
  };
  const residency = {
    state: (k: ObjectKey) => ({ kind: 'Resident', digest: digestOfKey(k) }),
    serves: (k: ObjectKey) => k !== key('next') || state.isResident,
    tryAcquire: (k: ObjectKey) => (k === key('next') && !state.isResident ? undefined : lease(k)),
    acquire: async (k: ObjectKey) => lease(k),
    takeLoads: () => 0,
  } as unknown as Residency;
  const holds = new Holds([], { clock, logger: pino({ enabled: false }), write: async () => undefined });
  const guard = new Guard({ clock, holds });
  holds.onChange(({ kind }) => {
    if (kind === 'held') mirror.planChanged();
  });
  const tally = new RolloutCounts();
  const plan = { table: tableOf(splitOf(change)) };
  const facts = servingFacts(residency, guard, { isPending: () => false });
  const table = () => plan.table;
  const mirror = new Mirror({
    engine,
    residency,
    facts,
    guard,
    tally: tally.copies,
    clock,
    table,
    get maxConcurrent() {
      return state.maxConcurrent;
    },
    waiting: () => state.waiting,
  });
  const logger = pino({ enabled: false });
  const quotas = new Quotas({
    clock,
    budgets: () => ({ requests: 8, adapterMemory: 1e9, adapterDisk: 1e9, kvMemory: 1e9 }),
    logger,
  });
  const path = new DataPath({ clock, engine, residency, guard, counts: tally, quotas, facts, table, mirror });
  const follow = (next: SplitChange): void => {
    const split = splitOf(next);
    guard.follow(new Map([[uid, split.body]]));
    plan.table = tableOf(split);
    mirror.planChanged();
  };
  follow(change);
  tally.follow([splitOf(change)]);

  const greedy: Sampling = { temperature: 0, topP: 1, topK: 0 };
  const begin = async (
    signal = new AbortController().signal,
    sampling = greedy,
    context: Partial<RequestContext> = {},
  ) =>
    await path.generate(
      { namespace: 'default', model: 'sql', user: 'u1', headers: new Map(), ...context },
      {
        prompt: { kind: 'text', text: 'x' },
        maxTokens: 4,
        sampling,
        stop: ['END'],
        logprobs: 2,
        echo: { maxTokens: 9 },
      },
      signal,
    );
  const ask = async (sampling?: Sampling, context?: Partial<RequestContext>) => {
    const generation = await begin(undefined, sampling, context);
    return { served: generation.served, events: await Array.fromAsync(generation.events) };
  };
  const embed = async () => {
    state.task = 'embed';
    return await path.encode(
      { namespace: 'default', model: 'sql', headers: new Map() },
      { texts: [{ kind: 'text', text: 'x' }], output: 'any' },
      new AbortController().signal,
    );
  };
  return {
    clock,
    answers,
    asked,
    encoded,
    state,
    guard,
    holds,
    tally,
    mirror,
    path,
    follow,
    /** The rollout leaves the plan. */
    remove: () => tally.follow([], [splitOf(change)]),
    begin,
    ask,
    embed,
    /** What the engine was asked for the canary. */
    copies: () => asked.filter(({ engineName }) => engineName === 'next'),
    counts: (attempt = 1) => tally.copies.ofAttempt(uid, canary, attempt),
    close: () => {
      state.gate = Promise.withResolvers();
      return state.gate;
    },
  };
};
