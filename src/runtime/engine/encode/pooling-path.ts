import type { Feeds } from '../adapters/feeds.ts';
import type { LoadedAdapter } from '../adapters/loaded-adapter.ts';
import type { EncoderSession, EncoderValues } from '../session/encoder-session.ts';
import type { EncodeModel } from './encode-model.ts';

/** The states of all tokens of one text: [tokens, size], of which the first `length` are the text's and the rest is padding. */
export type TokenStates = { readonly values: Float32Array; readonly size: number; readonly length: number };

/** The state of the first token, [CLS]. */
export const firstState = ({ values, size }: TokenStates): Float32Array => values.slice(0, size);

/** The mean over the tokens of the text, [CLS] and [SEP] included, as sentence-transformers' Pooling does. */
export const meanState = ({ values, size, length }: TokenStates): Float32Array => {
  const sums = new Float64Array(size);
  for (let token = 0; token < length; token += 1) {
    for (let at = 0; at < size; at += 1) sums[at] = (sums[at] ?? 0) + (values[token * size + at] ?? NaN);
  }
  return Float32Array.from(sums, (sum) => sum / length);
};

/** Shortest length that is divided by, as in PyTorch's `normalize`. */
const minLength = 1e-12;

/** The vector divided by its Euclidean length. */
export const unitVector = (vector: Float32Array): Float32Array => {
  const length = Math.sqrt(vector.reduce((sum, value) => sum + value * value, 0));
  return vector.map((value) => value / Math.max(length, minLength));
};

/** What texts are run with and for. */
export type PoolingPath = {
  readonly session: EncoderSession;
  /** Feeds can be rebuilt between steps, so they are asked for. */
  readonly feeds: () => Feeds;
  /** Output of the graph. */
  readonly output: string;
  /** The vector of one text: `values` are the output's for it, `length` its tokens. */
  readonly pool: (values: Float32Array, size: number, length: number) => Float32Array;
};

/** The two paths of an adapter, or of the base model. */
export type PoolingPaths = { readonly embedding: PoolingPath; readonly pooler: PoolingPath };

const whole = (values: Float32Array): Float32Array => values.slice();

const poolOf = ({ pooling }: EncodeModel['info']['encoder']): PoolingPath['pool'] => {
  if (pooling === 'mean') return (values, size, length) => meanState({ values, size, length });
  if (pooling === 'cls') return (values, size, length) => firstState({ values, size, length });
  return whole;
};

const pathsOf = (model: EncodeModel, session: EncoderSession, feeds: () => Feeds): PoolingPaths => ({
  embedding: { session, feeds, output: model.embedding, pool: poolOf(model.info.encoder) },
  pooler: { session, feeds, output: model.pooler ?? model.embedding, pool: whole },
});

export const basePaths = (model: EncodeModel, feeds: Feeds): PoolingPaths =>
  pathsOf(model, model.sessions.base, () => feeds);

export const adapterPaths = (model: EncodeModel, adapter: LoadedAdapter): PoolingPaths =>
  pathsOf(model, model.sessions.lora, () => adapter.feeds);

const rowOf = ({ values, perText }: EncoderValues, row: number): Float32Array =>
  values.subarray(row * perText, (row + 1) * perText);

/** One vector for each text of a run, each by its own path. */
export const poolEach = (
  result: EncoderValues,
  texts: readonly { readonly path: PoolingPath; readonly ids: readonly number[] }[],
): readonly Float32Array[] => {
  const size = result.shape.at(-1) ?? 0;
  return texts.map(({ path, ids }, row) => path.pool(rowOf(result, row), size, ids.length));
};
