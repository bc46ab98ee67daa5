import type { Keywords } from '../../api/classifier.ts';
import type { Scorer } from './scorer.ts';
import { wordsOf } from './words.ts';

/** How soon a term that is repeated counts no more (k1 of BM25). */
const saturation = 1.2;

/** Words of the longest term: more than fit into its 64 characters. */
const maxTermWords = 64;

type Term = {
  /** What it counts for, by the label that has it. */
  readonly of: Map<number, number>;
};

type Terms = {
  readonly whole: ReadonlyMap<string, Term>;
  /** Of those with an asterisk: what comes before it. */
  readonly begun: ReadonlyMap<string, Term>;
  /** By the number of words that terms have: how many characters come before an asterisk. */
  readonly lengths: ReadonlyMap<number, ReadonlySet<number>>;
};

const termsOf = (labels: Keywords['labels']): Terms => {
  const whole = new Map<string, Term>();
  const begun = new Map<string, Term>();
  const lengths = new Map<number, Set<number>>();
  labels.forEach(({ terms }, label) => {
    for (const { text, weight } of terms) {
      const words = wordsOf(text, maxTermWords);
      if (words.length === 0) throw new RangeError(`the term ${text} has no letter and no digit`);
      const isBeginning = text.trimEnd().endsWith('*');
      const map = isBeginning ? begun : whole;
      const key = words.join(' ');
      const beginnings = lengths.get(words.length) ?? new Set<number>();
      if (isBeginning) beginnings.add(key.length);
      lengths.set(words.length, beginnings);
      const term = map.get(key) ?? { of: new Map<number, number>() };
      // What differs in letter case alone is one term.
      term.of.set(label, Math.max(weight, term.of.get(label) ?? 0));
      map.set(key, term);
    }
  });
  return { whole, begun, lengths };
};

/** How often each term occurs. */
const countsOf = (words: readonly string[], { whole, begun, lengths }: Terms): Map<Term, number> => {
  const counts = new Map<Term, number>();
  const add = (term: Term | undefined): void => {
    if (term !== undefined) counts.set(term, (counts.get(term) ?? 0) + 1);
  };
  for (const [length, beginnings] of lengths) {
    for (let at = 0; at + length <= words.length; at++) {
      const phrase = length === 1 ? (words[at] ?? '') : words.slice(at, at + length).join(' ');
      add(whole.get(phrase));
      for (const end of beginnings) {
        const term = end <= phrase.length ? begun.get(phrase.slice(0, end)) : undefined;
        // Its last word is what may go on.
        if (!phrase.includes(' ', end)) add(term);
      }
    }
  }
  return counts;
};

/**
 * Counts the terms of each label (BM25 without regard to the length of the text: prompts are short, and their ends are cut).
 * What several labels have counts less, what is repeated counts a little more. The confidence of a label is its share of the
 * evidence for all labels and a constant one for none: one term of weight 1 gives 0.5, two 0.67, three 0.75.
 * Robertson and Zaragoza, The Probabilistic Relevance Framework: BM25 and Beyond (2009), section 3.
 * @throws RangeError for a term without letters and digits
 */
export const compileKeywords = ({ labels }: Keywords): Scorer => {
  const terms = termsOf(labels);
  const names = labels.map(({ name }) => name);
  const rarity = (holders: number): number => Math.log(1 + (labels.length - holders + 0.5) / (holders + 0.5));
  return {
    labels: names,
    score(text, maxTokens) {
      const counts = countsOf(wordsOf(text, maxTokens), terms);
      if (counts.size === 0) return undefined;
      const evidence = new Float64Array(names.length);
      for (const [{ of }, count] of counts) {
        const often = (count * (saturation + 1)) / (count + saturation);
        const rare = rarity(of.size) / rarity(1);
        for (const [label, weight] of of) evidence[label] = (evidence[label] ?? 0) + weight * often * rare;
      }
      const total = evidence.reduce((sum, one) => sum + one, 1);
      return names.map((label, index) => ({ label, score: (evidence[index] ?? 0) / total }));
    },
  };
};
