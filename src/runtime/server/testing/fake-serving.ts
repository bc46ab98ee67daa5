import type { Digest } from '../../../api/names.ts';
import { AdaptletError } from '../../../errors/adaptlet-error.ts';
import type { GenerateEvent, Prompt } from '../../engine/engine.ts';
import type {
  GenerateRequest,
  Generation,
  ModelCard,
  RequestContext,
  ServedBy,
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

/**
 * Serving without an engine: the answer is the prompt, one character a token, in capitals where an adapter serves.
 * It keeps what it was asked, can be held before each token, and fails when told to.
 */
export class FakeServing implements Serving {
  readonly base = { name: 'tiny', digest: fakeDigest('b'), contextLength: 2048, vocabSize: 70_000 };
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
  /** Awaited before each token. */
  gate: () => Promise<void> = () => Promise.resolve();
  /** Thrown at admission, or after that many tokens. */
  failure: { readonly error: Error; readonly afterTokens?: number } | undefined;
  /** Generations whose events have come to their end, in whatever way. */
  finished = 0;

  ready(): { readonly ok: boolean; readonly reason: string } {
    return this.readiness;
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
    await Promise.resolve();
    const by = served[context.model];
    if (by === undefined) throw new AdaptletError('INTERNAL', `the fake does not serve ${context.model}`);
    return { id: `r${this.calls.length}`, served: by, events: this.#events(request, by, signal) };
  }

  async *#events(
    { prompt, maxTokens, stop }: GenerateRequest,
    by: ServedBy,
    signal: AbortSignal,
  ): AsyncGenerator<GenerateEvent> {
    try {
      const plain = textOf(prompt);
      const ends = stop.map((s) => plain.indexOf(s)).filter((at) => at >= 0);
      const whole = plain.slice(0, Math.min(plain.length, ...ends));
      const tokens = Array.from(by.adapter === '' ? whole : whole.toUpperCase());
      const told = tokens.slice(0, maxTokens);
      for (const [i, text] of told.entries()) {
        await this.gate();
        signal.throwIfAborted();
        if (this.failure?.afterTokens === i) throw this.failure.error;
        yield { kind: 'token', ids: [text.codePointAt(0) ?? 0], text };
      }
      yield {
        kind: 'done',
        finishReason: told.length < tokens.length ? 'length' : 'stop',
        promptTokens: Array.from(plain).length,
        completionTokens: told.length,
        timing: { queueMs: 1, prefillMs: 2, decodeMs: 3, switchMs: 0.5 },
      };
    } finally {
      this.finished++;
    }
  }
}
