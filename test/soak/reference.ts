import type { EngineClient } from '../../src/runtime/engine/client/client.ts';
import type { GenerateInput, Sampling, TakenLogprob } from '../../src/runtime/engine/engine.ts';
import type { Alone } from './compare.ts';
import { greedyDistance, type Logprobs, sampledDistance } from './distance.ts';

/** What decides an answer. `adapter` is null for the base model. */
export type Asked = {
  readonly adapter: string | null;
  readonly promptIds: readonly number[];
  readonly sampling: Sampling;
};

/** Answers that are kept: an hour's prompts, not all of a day. */
const mostKept = 20_000;
/** Likeliest tokens among which a near tie of a greedy answer is looked for. */
const listed = 20;

type Kept = Alone & { readonly maxTokens: number };

/**
 * A second engine that nothing disturbs: it does one thing after the other, with all adapters in memory under their own
 * names from beginning to end.
 */
export class Reference {
  readonly #engine: EngineClient;
  readonly #kept = new Map<string, Kept>();
  #tail: Promise<unknown> = Promise.resolve();
  #waiting = 0;
  #computed = 0;

  constructor(engine: EngineClient) {
    this.#engine = engine;
  }

  /** Answers and distances that are still to be computed. */
  get waiting(): number {
    return this.#waiting;
  }
  /** Answers that were computed; the others were known. */
  get computed(): number {
    return this.#computed;
  }

  /** The answer to at least `maxTokens` tokens, unless it ends before. */
  async answer(asked: Asked, maxTokens: number): Promise<Alone> {
    const key = keyOf(asked);
    return await this.#alone(async () => {
      const kept = this.#kept.get(key);
      if (kept !== undefined && (kept.finish === 'stop' || kept.maxTokens >= maxTokens)) return kept;
      const fresh = { ...(await this.#ask(asked, maxTokens)), maxTokens };
      this.#keep(key, fresh);
      return fresh;
    });
  }

  /** How far token `got` was from being taken in place of `expected`, behind the first tokens of the answer. */
  async distance(asked: Asked, before: readonly number[], got: number, expected: number): Promise<number> {
    const { sampling } = asked;
    if (sampling.temperature === 0) {
      const logprobs = await this.#alone(() => this.#again(asked, before.length));
      return greedyDistance(logprobs, sampling, got, expected);
    }
    const promptIds = [...asked.promptIds, ...before];
    const logprobs = await this.#alone(() => this.#next({ ...asked, promptIds }));
    return sampledDistance(logprobs, sampling, before.length, got);
  }

  #alone<T>(work: () => Promise<T>): Promise<T> {
    this.#waiting += 1;
    const done = this.#tail.then(work).finally(() => {
      this.#waiting -= 1;
    });
    this.#tail = done.catch(() => undefined);
    return done;
  }

  async #ask(asked: Asked, maxTokens: number): Promise<Alone> {
    this.#computed += 1;
    const ids: number[] = [];
    let text = '';
    for await (const event of this.#engine.generate(inputOf(asked, maxTokens), never)) {
      if (event.kind === 'done') return { ids, text, finish: event.finishReason };
      ids.push(...event.ids);
      text += event.text;
    }
    throw new Error('the reference ended without `done`');
  }

  /**
   * Of the likeliest tokens at place `at` of the same answer, made once more: the very numbers that its token was taken
   * by, where a prefill of the tokens before it would round in its own way.
   */
  async #again(asked: Asked, at: number): Promise<Logprobs> {
    let seen = 0;
    for await (const event of this.#engine.generate({ ...inputOf(asked, at + 1), logprobs: listed }, never)) {
      if (event.kind === 'done') break;
      const taken = event.logprobs?.[at - seen];
      if (taken !== undefined) return logprobsOf(taken);
      seen += event.ids.length;
    }
    throw new Error('the reference gave another answer than before');
  }

  /** Of all tokens that may come behind a prompt: for draws, which depend on each of them. */
  async #next(asked: Asked): Promise<Logprobs> {
    const input = { ...inputOf(asked, 1), logprobs: this.#engine.info().vocabSize };
    for await (const event of this.#engine.generate(input, never)) {
      const [taken] = event.kind === 'done' ? [] : (event.logprobs ?? []);
      if (taken !== undefined) return logprobsOf(taken);
    }
    throw new Error('the reference gave no token');
  }

  #keep(key: string, fresh: Kept): void {
    this.#kept.delete(key);
    this.#kept.set(key, fresh);
    const [oldest] = this.#kept.keys();
    if (this.#kept.size > mostKept && oldest !== undefined) this.#kept.delete(oldest);
  }
}

const logprobsOf = ({ top }: TakenLogprob): Logprobs => new Map(top.map(({ id, logprob }) => [id, logprob]));

const never = new AbortController().signal;

const keyOf = ({ adapter, promptIds, sampling }: Asked): string =>
  JSON.stringify([adapter, promptIds, sampling]);

const inputOf = ({ adapter, promptIds, sampling }: Asked, maxTokens: number): GenerateInput => ({
  requestId: 'reference',
  engineName: adapter,
  prompt: { kind: 'ids', ids: promptIds },
  maxTokens,
  sampling,
  stop: [],
});
