/** A line through points. */
export type Line = { readonly base: number; readonly slope: number };

type Point = readonly [x: number, y: number];

/** The line with the least squares of what it misses. */
export const lineThrough = (points: readonly Point[]): Line => {
  const n = points.length;
  const mean = (of: (point: Point) => number): number => points.reduce((sum, p) => sum + of(p), 0) / n;
  const [x, y] = [mean((p) => p[0]), mean((p) => p[1])];
  const variance = mean((p) => (p[0] - x) ** 2);
  const slope = variance === 0 ? 0 : mean((p) => (p[0] - x) * (p[1] - y)) / variance;
  return { base: y - slope * x, slope };
};

/** The e of y = c x^e that fits best, by the least squares of logarithms: 1 is proportional, 0 does not grow. */
export const exponentOf = (points: readonly Point[]): number =>
  lineThrough(points.map(([x, y]) => [Math.log(x), Math.log(y)])).slope;
