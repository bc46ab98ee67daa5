import type { Sampling } from '../../src/runtime/engine/engine.ts';
import type { Seeded } from '../support/random.ts';
import type { SoakModel } from './models.ts';

/** What its reader does with an answer. */
export type Reader =
  | { readonly kind: 'quick' }
  /** Takes nothing for `pauseMs` after the first token, then the rest. */
  | { readonly kind: 'slow'; readonly pauseMs: number }
  /** Leaves once it has this many tokens, or, before the first, after a moment. */
  | { readonly kind: 'leaves'; readonly afterTokens: number; readonly afterMs: number };

/** A request that is to come; its adapter is chosen when it comes, among those that are loaded. */
export type Plan = {
  readonly promptIds: readonly number[];
  readonly maxTokens: number;
  readonly sampling: Sampling;
  readonly reader: Reader;
  readonly tenant: string;
  readonly priority: number;
  /** Turns of one conversation have the same. */
  readonly session?: string;
  readonly isTurn: boolean;
  /** What answered the turn before and may answer this one: what is kept of it can be used again. */
  readonly same?: string | null;
};

/** A conversation that can go on: what was said so far. */
type Conversation = {
  readonly session: string;
  readonly ids: readonly number[];
  readonly adapter: string | null;
};

/** Prompts that requests choose among; more than a few so that lengths of all kinds meet. */
const prompts = 32;
/** A fresh prompt takes the place of one of them after this many requests. */
const promptLife = 40;
const mostConversations = 16;

/** Shares of all requests. */
const share = {
  sampled: 0.3,
  endless: 0.5,
  slow: 0.12,
  leaves: 0.2,
  turn: 0.25,
  sessions: 0.7,
  sameAgain: 0.6,
  long: 0.15,
};

const whole = (random: Seeded, least: number, most: number): number =>
  Math.floor(random.between(least, most + 1));

/** Requests in an order that only the seed and the finished conversations decide. */
export class Requests {
  readonly #model: SoakModel;
  readonly #vocabSize: number;
  readonly #contextLength: number;
  readonly #random: Seeded;
  readonly #prompts: (readonly number[])[];
  readonly #conversations: Conversation[] = [];
  #made = 0;

  constructor(
    model: SoakModel,
    info: { readonly vocabSize: number; readonly contextLength: number },
    random: Seeded,
  ) {
    this.#model = model;
    this.#vocabSize = info.vocabSize;
    this.#contextLength = info.contextLength;
    this.#random = random;
    this.#prompts = Array.from({ length: prompts }, () => this.#prompt());
  }

  next(): Plan {
    const random = this.#random;
    this.#made += 1;
    if (this.#made % promptLife === 0) this.#prompts[whole(random, 0, prompts - 1)] = this.#prompt();
    const turn = random.next() < share.turn ? this.#turn() : undefined;
    const reader = this.#reader();
    const { longestAnswer, longestSlowAnswer } = this.#model;
    const wanted = whole(random, 1, reader.kind === 'slow' ? longestSlowAnswer : longestAnswer);
    return {
      promptIds: random.pick(this.#prompts),
      maxTokens: reader.kind === 'slow' ? Math.max(wanted, longestAnswer) : wanted,
      sampling: this.#sampling(),
      reader,
      tenant: `tenant-${whole(random, 0, 3)}`,
      priority: whole(random, 0, 2),
      isTurn: turn !== undefined,
      ...(turn ?? this.#session()),
    };
  }

  /** An answer came to its end: its conversation can go on, if another turn fits. `adapter`: what made it. */
  finished({ promptIds, session }: Plan, answer: readonly number[], adapter: string | null): void {
    const ids = [...promptIds, ...answer.filter((id) => !this.#model.endIds.includes(id))];
    if (session === undefined || ids.length > this.#contextLength / 2) return;
    this.#conversations.push({ session, ids, adapter });
    if (this.#conversations.length > mostConversations) this.#conversations.shift();
  }

  #session(): Pick<Plan, 'session'> {
    return this.#random.next() < share.sessions ? { session: `session-${this.#made}` } : {};
  }

  /** The next turn of a conversation, by the adapter of the turn before or by another one. */
  #turn(): Pick<Plan, 'promptIds' | 'session' | 'same'> | undefined {
    const random = this.#random;
    if (this.#conversations.length === 0) return undefined;
    const { ids, session, adapter } = random.pick(this.#conversations);
    const promptIds = [...ids, ...this.#tokens(whole(random, 1, 12))];
    return random.next() < share.sameAgain ? { promptIds, session, same: adapter } : { promptIds, session };
  }

  #prompt(): readonly number[] {
    const { longestPrompt } = this.#model;
    const isLong = this.#random.next() < share.long;
    const length = isLong ? whole(this.#random, 100, longestPrompt) : whole(this.#random, 1, 60);
    return this.#tokens(length);
  }

  #tokens(count: number): number[] {
    return Array.from({ length: count }, () => whole(this.#random, this.#model.firstId, this.#vocabSize - 1));
  }

  #sampling(): Sampling {
    const random = this.#random;
    // Without it many answers would end after a few tokens.
    const logitBias = this.#model.endIds.map((id) => [id, -100] as const);
    const bias = random.next() < share.endless ? { logitBias } : {};
    if (random.next() >= share.sampled) return { temperature: 0, topK: 0, topP: 1, ...bias };
    return { temperature: 0.8, topK: 0, topP: 1, seed: whole(random, 1, 2), ...bias };
  }

  #reader(): Reader {
    const random = this.#random;
    const which = random.next();
    if (which < share.slow) return { kind: 'slow', pauseMs: random.between(20, 600) };
    if (which >= share.slow + share.leaves) return { kind: 'quick' };
    const afterTokens = whole(random, 0, this.#model.longestAnswer / 3);
    return { kind: 'leaves', afterTokens, afterMs: random.between(0, 50) };
  }
}
