export type Matrix = Float32Array | Uint16Array | Int8Array;

/** A matrix of these rows and columns with both exchanged, in memory of its own. */
export const transposed = <T extends Matrix>(values: T, rows: number, columns: number): T => {
  const result = values.slice() as T;
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      result[column * rows + row] = values[row * columns + column] ?? 0;
    }
  }
  return result;
};
