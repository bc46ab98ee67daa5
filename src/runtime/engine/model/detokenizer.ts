/** Turns token ids into text. Must give for a longer list a text that starts alike, unfinished characters aside. */
export type Decode = (ids: readonly number[]) => string;

/** What a decoder writes for bytes that are not, or not yet, a character. */
const replacement = '\uFFFD';
/** A character has at most 4 bytes, so at most 3 replacement marks at the end can still become one. */
const unfinished = /\uFFFD{1,3}$/;
/** Tokens that stay in the window as context for the next one. */
const context = 4;
/** Above this many tokens the window is made smaller; only bytes that never form a character get to the second. */
const windowGoal = 16;
const windowLimit = 64;

/**
 * Text of a growing list of tokens, piece by piece. A token can end in the middle of a character: its first bytes are
 * held back until the rest has come. Only a few tokens are decoded again per step: enough for decoders whose spaces
 * depend on the token before.
 */
export class Detokenizer {
  readonly #decode: Decode;
  #window: readonly number[];
  /** Characters of the window's text that were given out. */
  #given: number;

  /** `before` are the tokens of the prompt, whose text is not given out. */
  constructor(decode: Decode, before: readonly number[] = []) {
    this.#decode = decode;
    this.#window = before.slice(-context);
    this.#given = decode(this.#window).replace(unfinished, '').length;
  }

  /** The text that the next token makes certain; often, but not always, the token's own. */
  push(id: number): string {
    this.#window = [...this.#window, id];
    const text = this.#decode(this.#window);
    const certain = text.replace(unfinished, '');
    const piece = certain.slice(this.#given);
    this.#given = Math.max(this.#given, certain.length);
    if (this.#window.length > windowLimit) return piece + this.flush();
    if (this.#window.length > windowGoal && certain.length === text.length) this.#shrink(text);
    return piece;
  }

  /** What was held back. The bytes of an unfinished character stay replacement marks. */
  flush(): string {
    const rest = this.#decode(this.#window).slice(this.#given);
    this.#window = [];
    this.#given = 0;
    return rest;
  }

  /** Forgets old tokens, unless the text of the young ones depends on them. */
  #shrink(text: string): void {
    const young = this.#window.slice(-context);
    const youngText = this.#decode(young);
    if (youngText.startsWith(replacement) || !text.endsWith(youngText)) return;
    this.#window = young;
    this.#given = youngText.length;
  }
}
