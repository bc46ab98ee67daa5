import type { Digest } from '../../../api/names.ts';
import { AdaptletError } from '../../../errors/adaptlet-error.ts';
import type { Echo, GenerateEvent, Prompt, TakenLogprob, TokenLogprob } from '../../engine/engine.ts';
import type { EncodeResult, InferResult } from '../../engine/tasks.ts';
import type { RequestContext, ServedBy } from '../../routing/request.ts';
import { answersTo, asTheyCome, choiceOf } from '../../serving/choices.ts';
import type {
  Answered,
  EncodeRequest,
  GenerateRequest,
  Generation,
  InferRequest,
  ModelCard,
  RecordedFeedback,
  Serving,
} from '../../serving/serving.ts';

export const fakeDigest = (c: string): Digest => `sha256:${c.repeat(64)}` as Digest;

const card = (id: string, kind: ModelCard['kind'], digest: Digest | '', reason = ''): ModelCard => ({
  id,
  kind,
  ready: reason === '',
  reason,
  digest,
  parent: kind === 'base' ? '' : 'tiny',
  createdAt: kind === 'base' ? '' : '2026-01-01T00:00:00Z',
});

/** What the fake serves under each name. */
const served: Record<string, ServedBy> = {
  tiny: { adapter: '', digest: fakeDigest('b'), rollout: '', arm: 'base', rule: '' },
  upper: { adapter: 'upper', digest: fakeDigest('a'), rollout: '', arm: '', rule: '' },
  sql: { adapter: 'upper', digest: fakeDigest('a'), rollout: 'sql', arm: 'stable', rule: '' },
  assistant: { adapter: 'upper', digest: fakeDigest('a'), rollout: 'sql', arm: 'canary', rule: 'überall' },
};

const textOf = (prompt: Prompt): string => {
  if (prompt.kind === 'text') return prompt.text;
  if (prompt.kind === 'ids') return String.fromCodePoint(...prompt.ids);
  return prompt.messages.map(({ role, content }) => `${role}:${content}`).join('\n');
};

const scoredToken = (token: string, logprob: number): TokenLogprob => ({
  id: token.codePointAt(0) ?? 0,
  token,
  bytes: [...Buffer.from(token)],
  logprob,
});

/** The token is the likeliest; the letters from a on follow. */
const scored = (token: string, top: number): TakenLogprob => ({
  ...scoredToken(token, -0.5),
  top: Array.from({ length: top }, (_, rank) =>
    rank === 0 ? scoredToken(token, -0.5) : scoredToken(String.fromCodePoint(96 + rank), -rank - 0.5),
  ),
});

/** One token for each character. */
const echoOf = (text: string, logprobs: number | undefined): Echo => {
  if (logprobs === undefined) return { text };
  const [first, ...others] = Array.from(text);
  const { logprob: _, ...unscored } = scoredToken(first ?? '', 0);
  return { text, tokens: [unscored, ...others.map((token) => scored(token, logprobs))] };
};

/**
 * Serving without an engine: the answer is the prompt, one character a token, in capitals where an adapter serves.
 * It keeps what it was asked, can be held before each token, and fails when told to.
 */
export class FakeServing implements Serving {
  base: Serving['base'] & { readonly digest: Digest } = {
    name: 'tiny',
    digest: fakeDigest('b'),
    contextLength: 2048,
    vocabSize: 70_000,
    task: 'generate',
  };
  /** Requests that were answered as a whole. */
  readonly encoded: { readonly context: RequestContext; readonly request: EncodeRequest }[] = [];
  readonly inferred: { readonly context: RequestContext; readonly request: InferRequest }[] = [];
  /** Rewards by id; there are answers with the ids r1 to r9. */
  readonly rewards = new Map<string, number>();
  readonly calls: {
    readonly context: RequestContext;
    readonly request: GenerateRequest;
    readonly signal: AbortSignal;
  }[] = [];
  cards: readonly ModelCard[] = [
    card('assistant', 'route', ''),
    card('sql', 'rollout', fakeDigest('a')),
    card('upper', 'adapter', fakeDigest('a')),
    card('broken', 'adapter', fakeDigest('c'), 'ADAPTER_NO_EFFECT: its output equals the base'),
    card('tiny', 'base', fakeDigest('b')),
  ];
  readiness = { ok: true, reason: '' };
  /** False: requests wait for a place until their signal is aborted. */
  admits = true;
  /** Requests that wait for a place. */
  waiting = 0;
  /** Awaited before each token. */
  gate: () => Promise<void> = () => Promise.resolve();
  /** Thrown at admission, or after that many tokens. */
  failure: { readonly error: Error; readonly afterTokens?: number } | undefined;
  /** Answers in place of the prompt, as they are; the last one goes on for ever. Empty: the prompt. */
  says: readonly string[] = [];
  /** Generations whose events have come to their end, in whatever way. */
  finished = 0;

  ready(): { readonly ok: boolean; readonly reason: string } {
    return this.readiness;
  }

  feedback(id: string, reward: number, isAllowed: (namespace: string) => boolean): RecordedFeedback {
    if (!/^r[1-9]$/.test(id) || !isAllowed('default'))
      throw new AdaptletError('FEEDBACK_UNKNOWN', `there is no answer ${id}`);
    const before = this.rewards.get(id);
    this.rewards.set(id, reward);
    const isFirst = before === undefined;
    return {
      rollout: 'sql',
      arm: 'canary',
      digest: fakeDigest('a'),
      isFirst,
      replaced: !isFirst && before !== reward,
    };
  }

  models(_namespace: string): readonly ModelCard[] {
    return this.cards;
  }

  model(namespace: string, name: string): ModelCard {
    const found = this.cards.find(({ id }) => id === name);
    if (found === undefined)
      throw new AdaptletError('MODEL_NOT_FOUND', `${namespace} has no ${name}; did you mean upper`);
    return found;
  }

  async generate(
    context: RequestContext,
    request: GenerateRequest,
    signal: AbortSignal,
  ): Promise<Generation> {
    this.calls.push({ context, request, signal });
    const { reason } = this.model(context.namespace, context.model);
    if (reason !== '') throw new AdaptletError('ADAPTER_NOT_AVAILABLE', reason, { retryAfterMs: 1500 });
    if (this.failure !== undefined && this.failure.afterTokens === undefined) throw this.failure.error;
    if (!this.admits) await this.#queue(signal);
    await Promise.resolve();
    const by = served[context.model];
    if (by === undefined) throw new AdaptletError('INTERNAL', `the fake does not serve ${context.model}`);
    const answer = (_: unknown, choice: number): AsyncGenerator<GenerateEvent> =>
      this.#events(choiceOf(request, choice), by, signal);
    const answers = Array.from({ length: answersTo(request) }, answer);
    const [first] = answers;
    const events = first !== undefined && answers.length === 1 ? first : asTheyCome(answers);
    return { id: `r${this.calls.length}`, served: by, events };
  }

  /** A classification by what capitals it has where an adapter serves and one is not ruled out, else [length, 1]. */
  async encode(
    context: RequestContext,
    request: EncodeRequest,
    signal: AbortSignal,
  ): Promise<Answered<EncodeResult>> {
    this.encoded.push({ context, request });
    const by = this.#servedBy(context);
    await this.gate();
    signal.throwIfAborted();
    const lengths = request.texts.map((text) => (text.kind === 'text' ? text.text.length : text.ids.length));
    const counted = { promptTokens: lengths.reduce((sum, length) => sum + length, 0), truncated: [] };
    const classifies = by.adapter !== '' && request.output !== 'embedding';
    if (!classifies && request.output === 'classification') {
      throw new AdaptletError('CLASSIFIER_MISSING', 'The base model has no classification head');
    }
    const labels = ['short', 'long'];
    const rows = lengths.map((length) => ({
      label: length > 5 ? 'long' : 'short',
      logits: [0, length],
      probabilities: length > 5 ? [0.25, 0.75] : [0.75, 0.25],
    }));
    const result: EncodeResult = classifies
      ? { kind: 'classification', labels, rows, ...counted }
      : { kind: 'embedding', rows: lengths.map((length) => Float32Array.of(length, 0.5)), ...counted };
    return { id: `e${this.encoded.length}`, served: by, result };
  }

  async #queue(signal: AbortSignal): Promise<void> {
    this.waiting++;
    const { promise, reject } = Promise.withResolvers<never>();
    signal.addEventListener('abort', () => reject(signal.reason as AdaptletError));
    if (signal.aborted) reject(signal.reason as AdaptletError);
    try {
      await promise;
    } finally {
      this.waiting--;
    }
  }

  /** The same tensors again. */
  async infer(context: RequestContext, request: InferRequest): Promise<Answered<InferResult>> {
    this.inferred.push({ context, request });
    return {
      id: `i${this.inferred.length}`,
      served: this.#servedBy(context),
      result: { outputs: request.inputs },
    };
  }

  #servedBy(context: RequestContext): ServedBy {
    const { reason } = this.model(context.namespace, context.model);
    if (reason !== '') throw new AdaptletError('ADAPTER_NOT_AVAILABLE', reason, { retryAfterMs: 1500 });
    if (this.failure !== undefined) throw this.failure.error;
    const by = served[context.model];
    if (by === undefined) throw new AdaptletError('INTERNAL', `the fake does not serve ${context.model}`);
    return by;
  }

  async *#events(
    { prompt, maxTokens, stop, logprobs, echo }: GenerateRequest,
    by: ServedBy,
    signal: AbortSignal,
  ): AsyncGenerator<GenerateEvent> {
    try {
      const said = this.says[Math.min(this.calls.length, this.says.length) - 1];
      const plain = said ?? (by.adapter === '' ? textOf(prompt) : textOf(prompt).toUpperCase());
      const ends = stop.map((s) => plain.indexOf(s)).filter((at) => at >= 0);
      const whole = plain.slice(0, Math.min(plain.length, ...ends));
      const tokens = Array.from(whole);
      const told = tokens.slice(0, maxTokens);
      for (const [i, text] of told.entries()) {
        await this.gate();
        signal.throwIfAborted();
        if (this.failure?.afterTokens === i) throw this.failure.error;
        const scores = logprobs === undefined ? {} : { logprobs: [scored(text, logprobs)] };
        const before = echo === undefined || i > 0 ? {} : { echo: echoOf(textOf(prompt), logprobs) };
        yield { kind: 'token', ids: [text.codePointAt(0) ?? 0], text, ...scores, ...before };
      }
      yield {
        kind: 'done',
        finishReason: told.length < tokens.length ? 'length' : 'stop',
        promptTokens: Array.from(textOf(prompt)).length,
        completionTokens: told.length,
        timing: { queueMs: 1, prefillMs: 2, decodeMs: 3, switchMs: 0.5 },
      };
    } finally {
      this.finished++;
    }
  }
}
