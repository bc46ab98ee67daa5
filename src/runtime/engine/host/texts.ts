import type { Prompt } from '../engine.ts';
import { type Caller, charactersOf, type TextThread } from '../model/text-thread.ts';
import type { EncodedInput, TextCodec } from '../model/tokenizer.ts';

/** Characters that are turned into tokens between two steps: more would hold them up. Some milliseconds. */
const maxCharacters = 4096;

/** Tokens of a prompt, or how many they are where they are of no use. */
export type PromptTokens = { readonly count: number; readonly ids: readonly number[] };

/**
 * Text to tokens without holding up steps: little of it at once, more of it on a thread of its own. A burst of short texts
 * counts as a long one.
 */
export class Texts {
  readonly #codec: TextCodec;
  readonly #thread: TextThread;
  #spent = 0;

  constructor(codec: TextCodec, thread: TextThread) {
    this.#codec = codec;
    this.#thread = thread;
  }

  /** At once, if it is short; undefined if not. */
  now(prompt: Prompt): PromptTokens | undefined {
    if (!this.#spend(charactersOf(prompt))) return undefined;
    const ids = this.#codec.encode(prompt);
    return { count: ids.length, ids };
  }

  /** On the thread. Without ids where they are more than `most`. */
  async later(prompt: Prompt, most: number, caller: Caller): Promise<PromptTokens> {
    const { count, ids = [] } = await this.#thread.encode(prompt, most, caller);
    return { count, ids: Array.from(ids) };
  }

  async input(text: string, limit: number, caller: Caller): Promise<EncodedInput> {
    if (this.#spend(text.length)) return this.#codec.encodeInput(text, limit);
    return await this.#thread.encodeInput(text, limit, caller);
  }

  close(): Promise<void> {
    return this.#thread.close();
  }

  /** True when so many characters can be turned into tokens before something else has its turn. */
  #spend(characters: number): boolean {
    if (this.#spent + characters > maxCharacters) return false;
    if (this.#spent === 0 && characters > 0) {
      setImmediate(() => {
        this.#spent = 0;
      });
    }
    this.#spent += characters;
    return true;
  }
}
