import { type ChatInput, mapTexts, someText } from './chat-input.ts';
import type { TokenizerFile } from './tokenizer-config.ts';

/**
 * Keeps what a message says apart from what the chat template says. A template writes special tokens as text, so a
 * message that has the same text could end its own turn and begin one of the system. The text is hidden from the
 * template, the template's tokens are marked, and only the marks are special tokens to `guardedFile`'s tokenizer.
 *
 * The marks are made of noncharacters, which no text may interchange (Unicode 23.7).
 */
const hidden = (index: number): string => `\uFDD0${index}\uFDD1`;
const marked = (id: number): string => `\uFDD2${id}\uFDD3`;
const noncharacters = /[\uFDD0-\uFDD3]/g;

const anyOf = (texts: readonly string[]): RegExp => {
  // Of two that begin alike the longer one is meant.
  const longestFirst = [...texts].sort((a, b) => b.length - a.length);
  return new RegExp(longestFirst.map((text) => text.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&')).join('|'), 'g');
};

export class GuardedContent {
  readonly #specials: readonly { readonly id: number; readonly content: string }[];
  readonly #pattern: RegExp;

  constructor(file: TokenizerFile) {
    this.#specials = file.added_tokens.filter(({ special, content }) => special && content !== '');
    this.#pattern = anyOf(this.#specials.map(({ content }) => content));
  }

  /** True when a message, or a tool, spells out a special token. */
  needed(input: ChatInput): boolean {
    if (this.#specials.length === 0) return false;
    // `search` starts at the beginning, whatever was matched before.
    return someText(input, (text) => text.search(this.#pattern) >= 0);
  }

  /** A conversation without a special token in it. */
  hide(input: ChatInput): ChatInput {
    const index = new Map(this.#specials.map(({ content }, at) => [content, at]));
    return mapTexts(input, (text) =>
      text
        .replace(noncharacters, '\uFFFD')
        .replace(this.#pattern, (special) => hidden(index.get(special) ?? 0)),
    );
  }

  /** Marks the template's own special tokens in what it rendered, and shows again what was hidden. */
  mark(rendered: string): string {
    const ids = new Map(this.#specials.map(({ id, content }) => [content, id]));
    return rendered
      .replace(this.#pattern, (special) => marked(ids.get(special) ?? 0))
      .replace(/\uFDD0(\d+)\uFDD1/g, (_, at: string) => this.#specials[Number(at)]?.content ?? '');
  }
}

/** A tokenizer whose special tokens are the marks. */
export const guardedFile = (file: TokenizerFile): TokenizerFile => ({
  ...file,
  added_tokens: file.added_tokens.map((token) =>
    token.special ? { ...token, content: marked(token.id) } : token,
  ),
});
