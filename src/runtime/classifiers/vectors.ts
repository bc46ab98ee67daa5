/** A vector of length 1, in place; undefined for one without a direction. */
export const toUnit = (vector: Float32Array): Float32Array | undefined => {
  const length = Math.sqrt(dot(vector, vector));
  if (!(length > 0) || !Number.isFinite(length)) return undefined;
  for (let i = 0; i < vector.length; i++) vector[i] = (vector[i] ?? 0) / length;
  return vector;
};

export const dot = (a: Float32Array, b: Float32Array): number => {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += (a[i] ?? 0) * (b[i] ?? 0);
  return sum;
};

/** Adds `factor` times `b` to `a`. */
export const addTo = (a: Float32Array, b: Float32Array | Int8Array, factor: number): void => {
  for (let i = 0; i < a.length; i++) a[i] = (a[i] ?? 0) + factor * (b[i] ?? 0);
};
