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
/** Of a prompt that ends with thousands of tokens without text, not all are looked at. */
const promptWindow = 256;
/** Tokens that what is held back can lie in: 3 marks for at most 3 bytes each, and some without any text. */
const pending = 12;

/** The last few tokens; more where these have no text, as a space in front may depend on there being some. */
const lastWithText = (decode: Decode, ids: readonly number[], min: number): readonly number[] => {
  for (let count = min; count < ids.length; count *= 4) {
    const last = ids.slice(-count);
    if (decode(last) !== '') return last;
  }
  return ids;
};

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
  /** Text of the prompt, until it is certain how it ends: its last bytes may be no character, or the answer's first. */
  #prompt: string | undefined;

  /** `before` are the tokens of the prompt, whose text is not given out. */
  constructor(decode: Decode, before: readonly number[] = []) {
    this.#decode = decode;
    this.#window = lastWithText(decode, before.slice(-promptWindow), context);
    this.#prompt = decode(this.#window);
    this.#given = this.#prompt.replace(unfinished, '').length;
  }

  /** The text that the next token makes certain; often, but not always, the token's own. */
  push(id: number): string {
    this.#window = [...this.#window, id];
    const text = this.#decode(this.#window);
    const certain = text.replace(unfinished, '');
    if (certain.length > this.#given) this.#leavePrompt(text);
    const piece = certain.slice(this.#given);
    this.#given = Math.max(this.#given, certain.length);
    if (this.#window.length > windowLimit) this.#cut();
    else if (this.#window.length > windowGoal && certain.length === text.length) this.#shrink(text);
    return piece;
  }

  /** What was held back. The bytes of an unfinished character stay replacement marks. */
  flush(): string {
    const text = this.#decode(this.#window);
    this.#leavePrompt(text);
    const rest = text.slice(this.#given);
    this.#window = [];
    this.#given = 0;
    return rest;
  }

  /** Marks that the prompt ended with and that did not become a character are the prompt's. */
  #leavePrompt(text: string): void {
    if (this.#prompt !== undefined && text.startsWith(this.#prompt))
      this.#given = Math.max(this.#given, this.#prompt.length);
    this.#prompt = undefined;
  }

  /** Forgets old tokens whatever they are. A text that begins within a character still ends as it did. */
  #cut(): void {
    this.#window = lastWithText(this.#decode, this.#window.slice(-windowLimit), pending);
    this.#given = this.#decode(this.#window).replace(unfinished, '').length;
  }

  /** Forgets old tokens, unless the text of the young ones depends on them. */
  #shrink(text: string): void {
    const young = lastWithText(this.#decode, this.#window, context);
    const youngText = this.#decode(young);
    if (youngText.startsWith(replacement) || !text.endsWith(youngText)) return;
    this.#window = young;
    this.#given = youngText.length;
  }
}
