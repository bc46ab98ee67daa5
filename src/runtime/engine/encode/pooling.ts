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

/** Least length that is divided by, as in PyTorch's `normalize`. */
const leastLength = 1e-12;

/** The vector divided by its Euclidean length. */
export const unitVector = (vector: Float32Array): Float32Array => {
  const length = Math.sqrt(vector.reduce((sum, value) => sum + value * value, 0));
  return vector.map((value) => value / Math.max(length, leastLength));
};
