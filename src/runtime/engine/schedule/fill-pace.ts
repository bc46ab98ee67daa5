/** Tokens of a piece of a prompt: more do not fill the processor better. */
const mostTokens = 128;
/** Fewer take as long: a step reads all weights. */
const leastTokens = 16;
/** Before any was measured. */
const first = { tokens: 64, msPerToken: 1 };
/** Share of the latest measurement in the estimate. */
const weight = 0.3;
/** Shares of the time that others may wait, beyond which a piece is halved, and below which one twice as large would stay. */
const bounds = { halve: 1.25, double: 0.75 };

/**
 * How many tokens of a prompt run at once, so that others get their next token in time: a power of two that changes
 * only when the machine's speed does, not with who waits. Pieces of another size round differently, so a prompt is cut the same
 * way whether somebody waits or not.
 */
export class FillPace {
  readonly #maxStallMs: number;
  #msPerToken = first.msPerToken;
  #most = first.tokens;

  constructor(maxStallMs: number) {
    this.#maxStallMs = maxStallMs;
  }

  get most(): number {
    return this.#most;
  }

  /** A piece took so long. Of few tokens it says nothing about many. */
  ran(tokens: number, ms: number): void {
    if (tokens < leastTokens) return;
    this.#msPerToken += weight * (ms / tokens - this.#msPerToken);
    const takes = (count: number): number => count * this.#msPerToken;
    while (this.#most > leastTokens && takes(this.#most) > bounds.halve * this.#maxStallMs) this.#most /= 2;
    while (this.#most < mostTokens && takes(2 * this.#most) < bounds.double * this.#maxStallMs)
      this.#most *= 2;
  }
}
