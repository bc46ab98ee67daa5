/** Tokens that may not come next: `never`, and those of `last` only where nothing else may come, the first list first. */
export type Banned = { readonly never: readonly number[]; readonly last: readonly (readonly number[])[] };

/** Bans of one answer, from its first token on. */
export type Bans = {
  /** undefined: all tokens may come. */
  next(): Banned | undefined;
  /** A token of the answer. */
  took(id: number): void;
};

export type BansOf = {
  /** Tokens that end the answer, and the model's own end tokens: none ends it before it has `minTokens`. */
  readonly stops: readonly number[];
  readonly ends: readonly number[];
  readonly minTokens: number;
  /** Those of `ends` that do not end it later either. */
  readonly endsNever: readonly number[];
  /** Tokens of each word that the answer may not have. */
  readonly words: readonly (readonly number[])[];
};

/** Whether an answer that ends with `tail` has all of the word but its last token. */
const isNear = (word: readonly number[], tail: readonly number[]): boolean => {
  for (let back = 1; back < word.length; back += 1)
    if (tail[tail.length - back] !== word[word.length - 1 - back]) return false;
  return true;
};

/** undefined where nothing is banned. Each token costs a look at every word, and at more of those that it is near. */
export const makeBans = ({ stops, ends, minTokens, endsNever, words }: BansOf): Bans | undefined => {
  if (minTokens === 0 && endsNever.length === 0 && words.length === 0) return undefined;
  const longest = words.reduce((most, { length }) => Math.max(most, length), 1);
  const tail: number[] = [];
  let tokens = 0;
  return {
    next() {
      const never = words.flatMap((word) => (isNear(word, tail) ? word.slice(-1) : []));
      const last = tokens < minTokens ? [stops, ends] : [endsNever];
      return never.length === 0 && last.every(({ length }) => length === 0) ? undefined : { never, last };
    },
    took(id) {
      tokens += 1;
      tail.push(id);
      if (tail.length >= longest) tail.shift();
    },
  };
};
