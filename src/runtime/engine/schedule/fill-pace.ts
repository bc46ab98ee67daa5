/** Tokens of a piece of a prompt: more do not fill the processor better. */
const maxTokens = 128;
/** Fewer take as long: a step reads all weights. */
const minTokens = 16;
/** Before any was measured. */
const first = { tokens: 64, msPerToken: 1 };
/** Share of the latest measurement in the estimate. */
const weight = 0.3;
/**
 * Shares of the time that others may wait, beyond which a piece is halved, and below which one twice as large would stay. Some
 * pieces take longer than the estimate: the deeper in a prompt, the more there is to attend to.
 */
const bounds = { halve: 0.8, double: 0.66 };

/**
 * How many tokens of a prompt run at once, so that others get their next token in time: a power of two that changes
 * with the machine's speed and with how deep prompts are, not with who waits. Pieces of another size round differently, so a prompt is cut the same
 * way whether somebody waits or not.
 */
export class FillPace {
  readonly #maxStallMs: number;
  #msPerToken = first.msPerToken;
  #max = first.tokens;

  constructor(maxStallMs: number) {
    this.#maxStallMs = maxStallMs;
  }

  get max(): number {
    return this.#max;
  }

  /** A piece took so long. Of few tokens it says nothing about many. */
  ran(tokens: number, ms: number): void {
    if (tokens < minTokens) return;
    this.#msPerToken += weight * (ms / tokens - this.#msPerToken);
    const takes = (count: number): number => count * this.#msPerToken;
    while (this.#max > minTokens && takes(this.#max) > bounds.halve * this.#maxStallMs) this.#max /= 2;
    while (this.#max < maxTokens && takes(2 * this.#max) < bounds.double * this.#maxStallMs) this.#max *= 2;
  }
}
