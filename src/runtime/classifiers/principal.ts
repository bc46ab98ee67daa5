import { addTo, dot, toUnit } from './vectors.ts';

const rounds = 30;

/**
 * The directions in which rows vary most, by orthogonal iteration on their covariance; rows have mean 0.
 * Golub and Van Loan, Matrix Computations, 8.2.4. The same rows give the same directions.
 * @returns `count` vectors of length 1, at right angles to each other
 */
export const principalDirections = (
  rows: readonly Float32Array[],
  count: number,
): readonly Float32Array[] => {
  const size = rows[0]?.length ?? 0;
  const covariance = covarianceOf(rows, size);
  let directions = Array.from({ length: count }, (_, index) => start(size, index));
  for (let round = 0; round < rounds; round++) {
    directions = orthogonal(directions.map((one) => times(covariance, one)));
  }
  // A direction and its opposite are the same: the sign is fixed.
  return directions.map((one) =>
    (one.find((value) => Math.abs(value) > 1e-6) ?? 0) < 0 ? one.map((v) => -v) : one,
  );
};

const covarianceOf = (rows: readonly Float32Array[], size: number): readonly Float32Array[] => {
  const sums = Array.from({ length: size }, () => new Float32Array(size));
  for (const row of rows) row.forEach((value, index) => addTo(sums[index] ?? row, row, value));
  return sums;
};

/** A vector that is not at a right angle to anything in particular. */
const start = (size: number, index: number): Float32Array =>
  Float32Array.from({ length: size }, (_, at) => Math.cos((at + 1) * (index + 1)) + (at === index ? 1 : 0));

const times = (matrix: readonly Float32Array[], vector: Float32Array): Float32Array =>
  Float32Array.from(matrix, (row) => dot(row, vector));

/** Gram and Schmidt, each vector against those before it. */
const orthogonal = (vectors: readonly Float32Array[]): Float32Array[] => {
  const done: Float32Array[] = [];
  for (const vector of vectors) {
    // Twice: once leaves what rounding took away.
    for (let pass = 0; pass < 2; pass++) for (const one of done) addTo(vector, one, -dot(one, vector));
    done.push(toUnit(vector) ?? vector);
  }
  return done;
};
