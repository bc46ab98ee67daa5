import { draftLength, type StepCost } from './draft-length.ts';
import { DraftOdds, type GuessKind, kindOf, type Source } from './draft-odds.ts';
import type { KvOwner } from './kv-owner.ts';
import { comparedTokens, TokenHistory } from './token-history.ts';

/** A sequence, as far as what may come next goes. */
export type DraftOwner = Pick<KvOwner, 'kvKey' | 'shares' | 'ids'> & { readonly promptTokens: number };

type Step = { readonly kind: GuessKind; readonly token: number; readonly chance: number };

/** Tokens that may come next; `expected` has more of them where it would not pay to run all. */
export type Draft = { readonly tokens: readonly number[]; readonly expected: readonly Step[] };

/** What is remembered for those of one key: answers, and how often guesses were right. */
type Memory = { history: TokenHistory; readonly odds: DraftOdds };

type Follower = { readonly own: TokenHistory; readonly memory: Memory };

/** Tokens that are guessed at most: a step of many more costs as much as several. */
export const maxDraft = 8;
/** Callers whose answers are remembered, and tokens of each: at most twice as many. */
const maxKeys = 64;
const maxTokens = 2048;
/** Of one answer. */
const maxAnswer = 1024;
/** Less likely ones are not worth a look at what comes after them. */
const leastLikely = 0.1;

const newMemory = (): Memory => ({ history: new TokenHistory(), odds: new DraftOdds() });

/**
 * Guesses the next tokens of a sequence without a model: what came after the same words before, in its prompt and answer
 * (prompt lookup, Saxena 2023) and in earlier answers of those who may use its keys and values too (Oliaro et al.,
 * SuffixDecoding, 2024).
 *
 * Guarantees: what is remembered of a sequence is for those of the same key only, and for nobody where it shares nothing; its size
 * is bounded.
 */
export class Drafter {
  /** The key that was used last comes last. */
  readonly #memories = new Map<string, Memory>();
  readonly #followers = new WeakMap<DraftOwner, Follower>();

  /** Up to `most` tokens. */
  draft(owner: DraftOwner, most: number, cost: StepCost): Draft {
    const { own, memory } = this.#follow(owner);
    const tail = owner.ids.slice(-comparedTokens);
    const expected: Step[] = [];
    let likely = 1;
    while (expected.length < maxDraft && likely >= leastLikely) {
      const step = this.#guess(tail, { own, earlier: memory.history }, memory.odds);
      if (step === undefined) break;
      likely *= step.chance;
      expected.push(step);
      tail.push(step.token);
    }
    const odds = expected.slice(0, most).map(({ chance }) => chance);
    const length = cost.isKnown ? draftLength(odds, (tokens) => cost.of(tokens)) : 0;
    return { tokens: expected.slice(0, length).map(({ token }) => token), expected };
  }

  /** The tokens that came; whether or not the draft was run, they say how good it was. */
  came(owner: DraftOwner, { expected }: Draft, tokens: readonly number[]): void {
    const { odds } = this.#follow(owner).memory;
    for (const [index, token] of tokens.entries()) {
      const step = expected[index];
      if (step === undefined) return;
      odds.saw(step.kind, step.token === token);
      if (step.token !== token) return;
    }
  }

  /** Its answer may serve others. */
  ended(owner: DraftOwner): void {
    const { ids, promptTokens, shares } = owner;
    this.#followers.delete(owner);
    if (!shares || ids.length === promptTokens) return;
    const memory = this.#memoryOf(owner);
    // With what it begins after.
    const from = Math.max(0, promptTokens - comparedTokens);
    for (const id of ids.slice(from, promptTokens + maxAnswer)) memory.history.push(id);
    memory.history.pause();
    if (memory.history.length > 2 * maxTokens) memory.history = memory.history.shortened(maxTokens);
  }

  #guess(
    tail: readonly number[],
    histories: Readonly<Record<Source, TokenHistory>>,
    odds: DraftOdds,
  ): Step | undefined {
    let best: Step | undefined;
    for (const source of ['earlier', 'own'] as const) {
      const guess = histories[source].after(tail);
      if (guess === undefined) continue;
      const kind = kindOf(source, guess);
      const chance = odds.of(kind, guess);
      if (best === undefined || chance > best.chance) best = { kind, token: guess.token, chance };
    }
    return best;
  }

  #follow(owner: DraftOwner): Follower {
    let follower = this.#followers.get(owner);
    if (follower === undefined) {
      const memory = owner.shares ? this.#memoryOf(owner) : newMemory();
      follower = { own: new TokenHistory(), memory };
      this.#followers.set(owner, follower);
    }
    const { own } = follower;
    for (let at = own.length; at < owner.ids.length; at += 1) own.push(owner.ids[at] ?? 0);
    return follower;
  }

  #memoryOf({ kvKey }: DraftOwner): Memory {
    const memory = this.#memories.get(kvKey) ?? newMemory();
    this.#memories.delete(kvKey);
    this.#memories.set(kvKey, memory);
    const [oldest] = this.#memories.keys();
    if (this.#memories.size > maxKeys && oldest !== undefined) this.#memories.delete(oldest);
    return memory;
  }
}
