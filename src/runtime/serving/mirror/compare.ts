import type { EncodeResult } from '../../engine/tasks.ts';

/** How much two answers to the same request are alike. */
export type Comparison = {
  readonly equal: boolean;
  /** From 0, nothing in common, to 1. */
  readonly similarity: number;
};

/** The beginning of an answer in tokens, and how many it had in all. */
export type AnswerTokens = { readonly ids: readonly number[]; readonly total: number };

/** Tokens of an answer that are compared: two answers of this length take about a millisecond. */
export const maxComparedTokens = 512;

/** Cosine distance up to which two embeddings are the same: what the order of additions in a batch can make. */
export const sameDistance = 1e-4;

/**
 * The least number of tokens to insert, delete or replace until one is the other (Levenshtein, "Binary codes capable of
 * correcting deletions, insertions, and reversals", 1966). Takes time in proportion to the product of the lengths.
 */
export const editDistance = (a: readonly number[], b: readonly number[]): number => {
  let above = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (const [i, x] of a.entries()) {
    const row = [i + 1];
    for (const [j, y] of b.entries()) {
      const replaced = (above[j] ?? 0) + (x === y ? 0 : 1);
      row.push(Math.min(replaced, (above[j + 1] ?? 0) + 1, (row[j] ?? 0) + 1));
    }
    above = row;
  }
  return above[b.length] ?? 0;
};

/** Equal: token for token. The similarity is of the first {@link maxComparedTokens}: 1 - edits / length of the longer one. */
export const compareTokens = (stable: AnswerTokens, canary: AnswerTokens): Comparison => {
  const a = stable.ids.slice(0, maxComparedTokens);
  const b = canary.ids.slice(0, maxComparedTokens);
  const isSame = a.length === b.length && a.every((id, i) => id === b[i]);
  if (isSame) return { equal: stable.total === canary.total, similarity: 1 };
  return { equal: false, similarity: 1 - editDistance(a, b) / Math.max(a.length, b.length) };
};

/**
 * Classifications are equal when every text has the same label, and as similar as the share of those that do. Embeddings
 * are equal when none is further away than {@link sameDistance}, and as similar as the mean of their cosines, at least 0.
 */
export const compareEncoded = (stable: EncodeResult, canary: EncodeResult): Comparison => {
  if (stable.kind === 'classification' && canary.kind === 'classification') {
    return ofRows(stable.rows, canary.rows, (a, b) => (a.label === b.label ? 1 : 0), 0);
  }
  if (stable.kind === 'embedding' && canary.kind === 'embedding') {
    return ofRows(stable.rows, canary.rows, cosine, sameDistance);
  }
  return { equal: false, similarity: 0 };
};

const ofRows = <Row>(
  stable: readonly Row[],
  canary: readonly Row[],
  alike: (a: Row, b: Row) => number,
  tolerance: number,
): Comparison => {
  if (stable.length !== canary.length) return { equal: false, similarity: 0 };
  if (stable.length === 0) return { equal: true, similarity: 1 };
  const each = stable.map((row, i) => {
    const other = canary[i];
    return other === undefined ? 0 : alike(row, other);
  });
  const mean = each.reduce((sum, value) => sum + value, 0) / each.length;
  return {
    equal: each.every((value) => value >= 1 - tolerance),
    similarity: Math.min(1, Math.max(0, mean)),
  };
};

const cosine = (a: Float32Array, b: Float32Array): number => {
  let [product, squareA, squareB] = [0, 0, 0];
  for (const [i, x] of a.entries()) {
    const y = b[i] ?? 0;
    product += x * y;
    squareA += x * x;
    squareB += y * y;
  }
  if (a.length !== b.length) return 0;
  // Two vectors without a direction are the same one.
  if (squareA === 0 || squareB === 0) return squareA === squareB ? 1 : 0;
  return product / Math.sqrt(squareA * squareB);
};
