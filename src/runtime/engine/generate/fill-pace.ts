/** Tokens of a piece of a prompt: what fills the processor, and still lets a caller who leaves be noticed. */
const mostTokens = 128;
/** Fewer take as long: a step reads all weights. */
const leastTokens = 16;
/** Milliseconds per token before any was measured. */
const firstGuess = 1;
/** Share of the latest measurement in the estimate. */
const weight = 0.3;

/** How many tokens of a prompt run at once, so that others get their next token in time. */
export class FillPace {
  readonly #maxStallMs: number;
  #msPerToken = firstGuess;

  constructor(maxStallMs: number) {
    this.#maxStallMs = maxStallMs;
  }

  /** A multiple of the least number; all that is useful when nobody waits. */
  most(othersWait: boolean): number {
    if (!othersWait) return mostTokens;
    const tokens = Math.floor(this.#maxStallMs / this.#msPerToken / leastTokens) * leastTokens;
    return Math.min(mostTokens, Math.max(leastTokens, tokens));
  }

  /** A piece took so long. Of few tokens it says nothing about many. */
  ran(tokens: number, ms: number): void {
    if (tokens < leastTokens) return;
    this.#msPerToken += weight * (ms / tokens - this.#msPerToken);
  }
}
