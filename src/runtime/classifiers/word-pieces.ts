/** How a tokenizer of the BERT family prepares a text. */
export type Normalization = { readonly lowercase: boolean; readonly stripAccents: boolean };

/** Longer words are no words of the vocabulary (`max_input_chars_per_word` of BERT). */
const maxWordLength = 100;

/** Ranges that BERT takes for Chinese: each letter is a word. */
const chinese =
  '\\u4e00-\\u9fff\\u3400-\\u4dbf\\u{20000}-\\u{2a6df}\\u{2a700}-\\u{2b73f}\\u{2b740}-\\u{2b81f}\\u{2b820}-\\u{2ceaf}\\uf900-\\ufaff\\u{2f800}-\\u{2fa1f}';
/** What BERT takes for punctuation: also symbols of ASCII. */
const punctuation = '!-\\/:-@\\[-`\\{-~\\p{P}';
const word = new RegExp(`[${chinese}${punctuation}]|[^\\s${chinese}${punctuation}]+`, 'gu');
const plain = /^[ -~]*$/;
const unprintable = /[\p{Cc}\p{Cf}\p{Co}\p{Cs}\ufffd]/gu;
const blank = /[\t\n\r]/g;

const normalized = (text: string, { lowercase, stripAccents }: Normalization): string => {
  if (plain.test(text)) return lowercase ? text.toLowerCase() : text;
  const clean = text.replaceAll(blank, ' ').replaceAll(unprintable, '');
  const lower = lowercase ? clean.toLowerCase() : clean;
  return stripAccents ? lower.normalize('NFD').replaceAll(/\p{Mn}/gu, '') : lower;
};

/**
 * Text to tokens as WordPiece does (longest match first; Wu et al., arXiv:1609.08144), without special tokens. Words that the
 * vocabulary does not cover are left out.
 */
export class WordPieces {
  readonly #ids: ReadonlyMap<string, number>;
  /** By what a token begins with, two letters or one and its mark: the letters of the longest that does. */
  readonly #longest: ReadonlyMap<string, number>;
  readonly #normalization: Normalization;

  /** The place of a text in `vocabulary` is its id; what continues a word begins with `##`. */
  constructor(vocabulary: readonly string[], normalization: Normalization) {
    this.#ids = new Map(vocabulary.map((text, id) => [text, id]));
    const longest = new Map<string, number>();
    for (const text of vocabulary) {
      const mark = text.startsWith('##') ? 2 : 0;
      const beginning = text.slice(0, mark + 2);
      longest.set(beginning, Math.max(longest.get(beginning) ?? 0, text.length - mark));
    }
    this.#longest = longest;
    this.#normalization = normalization;
  }

  /** Ids of the beginning of a text: at most so many, of at most so many words. */
  encode(text: string, limit: number): readonly number[] {
    const ids: number[] = [];
    let words = 0;
    const whole = normalized(text, this.#normalization);
    // One object for all texts: matchAll would make another, whose tables of letters take milliseconds.
    word.lastIndex = 0;
    for (let found = word.exec(whole); found !== null; found = word.exec(whole)) {
      if (words >= limit || ids.length >= limit) break;
      words += 1;
      if (found[0].length <= maxWordLength) ids.push(...this.#pieces(found[0]));
    }
    return ids.slice(0, limit);
  }

  #pieces(text: string): readonly number[] {
    const ids: number[] = [];
    let at = 0;
    while (at < text.length) {
      const mark = at === 0 ? '' : '##';
      // Hardly any two letters begin a long token, and a text may be made of such that do not.
      const most = this.#longest.get(mark + text.slice(at, at + 2)) ?? 1;
      let end = Math.min(text.length, at + most);
      let id: number | undefined;
      for (; end > at; end--) {
        id = this.#ids.get(mark + text.slice(at, end));
        if (id !== undefined) break;
      }
      if (id === undefined) return [];
      ids.push(id);
      at = end;
    }
    return ids;
  }
}
