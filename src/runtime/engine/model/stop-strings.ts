/** What may be given out, and whether a stop string was found. */
export type StopResult = { readonly text: string; readonly stopped: boolean };

/** Length of the longest end of `text` that is a beginning of `stop`, but not all of it. */
export const overlap = (text: string, stop: string): number => {
  for (let length = Math.min(text.length, stop.length - 1); length > 0; length -= 1) {
    if (stop.startsWith(text.slice(text.length - length))) return length;
  }
  return 0;
};

/**
 * Where the text ends: before the stop string that is complete first, and of those that are complete together before
 * the longest. So it does not matter how the text is cut into tokens. Those that were complete in its first `known` characters
 * are passed over.
 */
const endOf = (text: string, stops: readonly string[], known: number): number | undefined => {
  const found = stops
    .map((stop) => ({
      start: text.indexOf(stop, Math.max(0, known - stop.length + 1)),
      length: stop.length,
    }))
    .filter(({ start }) => start >= 0);
  const [first] = found.sort((a, b) => a.start + a.length - (b.start + b.length) || a.start - b.start);
  return first?.start;
};

/**
 * Ends a text before the first stop string. A stop string may span tokens, so an end of the text that could become
 * one is held back.
 */
export class StopStrings {
  readonly #stops: readonly string[];
  #held = '';

  constructor(stops: readonly string[]) {
    this.#stops = stops.filter((stop) => stop !== '');
  }

  /** `counts`: false where a stop string that the piece completes ends nothing. */
  push(piece: string, counts = true): StopResult {
    const text = this.#held + piece;
    const end = counts ? endOf(text, this.#stops, this.#held.length) : undefined;
    if (end !== undefined) {
      this.#held = '';
      return { text: text.slice(0, end), stopped: true };
    }
    const keep = Math.max(0, ...this.#stops.map((stop) => overlap(text, stop)));
    this.#held = text.slice(text.length - keep);
    return { text: text.slice(0, text.length - keep), stopped: false };
  }

  /** What was held back and did not become a stop string. */
  flush(): string {
    const rest = this.#held;
    this.#held = '';
    return rest;
  }
}
