import { addTo, toUnit } from './vectors.ts';
import { type Normalization, WordPieces } from './word-pieces.ts';

export type TableParts = {
  readonly dimensions: number;
  readonly vocabulary: readonly string[];
  readonly normalization: Normalization;
  /** A row of `dimensions` for each token. */
  readonly rows: Int8Array;
  /** What a row is multiplied with, for each token: how much it counts is in it. */
  readonly scales: Float32Array;
  /** A linear layer and its labels; absent: the table has embeddings alone. */
  readonly head?: Head;
};

export type Head = {
  readonly labels: readonly string[];
  /** A row of `dimensions` for each label. */
  readonly weights: Float32Array;
  readonly bias: Float32Array;
};

/** Embeddings of tokens that were computed once; that of a text is the sum of its tokens', of length 1. */
export class StaticTable {
  readonly #parts: TableParts;
  readonly #pieces: WordPieces;

  constructor(parts: TableParts) {
    this.#parts = parts;
    this.#pieces = new WordPieces(parts.vocabulary, parts.normalization);
  }

  get dimensions(): number {
    return this.#parts.dimensions;
  }

  get head(): Head | undefined {
    return this.#parts.head;
  }

  /** Bytes in memory, about. */
  get bytes(): number {
    const { rows, scales, vocabulary, head } = this.#parts;
    const ofHead = head === undefined ? 0 : head.weights.byteLength + head.bias.byteLength;
    return rows.byteLength + scales.byteLength + vocabulary.length * 64 + ofHead;
  }

  /** Undefined: no token of the text is in the table. */
  embed(text: string, maxTokens: number): Float32Array | undefined {
    const { rows, scales, dimensions } = this.#parts;
    const sum = new Float32Array(dimensions);
    for (const id of this.#pieces.encode(text, maxTokens)) {
      const begin = id * dimensions;
      addTo(sum, rows.subarray(begin, begin + dimensions), scales[id] ?? 0);
    }
    return toUnit(sum);
  }
}
