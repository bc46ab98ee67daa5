import { principalDirections } from './principal.ts';
import { type Sample, trainHead } from './softmax.ts';
import { StaticTable, type TableParts } from './static-table.ts';
import { addTo, dot } from './vectors.ts';
import type { Normalization } from './word-pieces.ts';

export type DistilParts = {
  /** Tokens by their ids. */
  readonly vocabulary: readonly string[];
  /** Tokens that no text has, such as [CLS]. */
  readonly special: ReadonlySet<number>;
  readonly normalization: Normalization;
  /** What an encoder makes of single tokens. */
  readonly embed: (ids: readonly number[]) => Promise<readonly Float32Array[]>;
  readonly dimensions: number;
  /** Texts with labels, for a head. Absent: none. */
  readonly examples?: readonly { readonly text: string; readonly label: string }[];
  readonly maxTokens: number;
  /** Told how many tokens are done. */
  readonly onProgress?: (done: number, all: number) => void;
};

/** Tokens that are embedded together. */
const batch = 256;
/** How much rare tokens count more than frequent ones (Arora et al., A simple but tough-to-beat baseline, 2017). */
const smoothing = 1e-4;

/**
 * Makes a static table of an encoder, as Model2Vec does: each token embedded once, the mean taken off, what varies most kept,
 * frequent tokens made small. How frequent a token is, is guessed from its place: vocabularies are sorted by frequency
 * (Zipf's law). Numbers are rounded to 8 bits, a scale for each token.
 */
export const distil = async (parts: DistilParts): Promise<TableParts> => {
  const { vocabulary, special, normalization, dimensions, examples } = parts;
  const ids = vocabulary.flatMap((_, id) => (special.has(id) ? [] : [id]));
  const vectors = await embedAll(ids, parts);
  const size = vectors[0]?.length ?? 0;
  const mean = new Float32Array(size);
  for (const vector of vectors) addTo(mean, vector, 1 / vectors.length);
  for (const vector of vectors) addTo(vector, mean, -1);
  const kept = Math.min(dimensions, size);
  const directions = principalDirections(vectors, kept);
  const rows = new Int8Array(vocabulary.length * kept);
  const scales = new Float32Array(vocabulary.length);
  const harmonic = ids.reduce((sum, _, rank) => sum + 1 / (rank + 2), 0);
  ids.forEach((id, rank) => {
    const vector = vectors[rank] ?? mean;
    const weight = smoothing / (smoothing + 1 / (rank + 2) / harmonic);
    const small = directions.map((direction) => dot(direction, vector));
    const most = Math.max(...small.map(Math.abs));
    scales[id] = (most / 127) * weight;
    small.forEach((value, at) => {
      rows[id * kept + at] = most === 0 ? 0 : Math.round((value / most) * 127);
    });
  });
  const table = { dimensions: kept, vocabulary, normalization, rows, scales };
  if (examples === undefined) return table;
  return { ...table, head: headOf(new StaticTable(table), examples, parts) };
};

const embedAll = async (
  ids: readonly number[],
  { embed, onProgress }: DistilParts,
): Promise<readonly Float32Array[]> => {
  const vectors: Float32Array[] = [];
  for (let at = 0; at < ids.length; at += batch) {
    const some = await embed(ids.slice(at, at + batch));
    vectors.push(...some.map((one) => Float32Array.from(one)));
    onProgress?.(vectors.length, ids.length);
  }
  return vectors;
};

const headOf = (
  table: StaticTable,
  examples: NonNullable<DistilParts['examples']>,
  { maxTokens }: DistilParts,
) => {
  const samples = examples.flatMap(({ text, label }): Sample[] => {
    const vector = table.embed(text, maxTokens);
    return vector === undefined ? [] : [{ vector, label }];
  });
  const labels = new Set(samples.map(({ label }) => label));
  if (labels.size < 2) throw new RangeError('a head needs examples of two labels or more');
  return trainHead(samples, table.dimensions);
};
