/** Columns of a matrix, each of as many values as it has rows, in double precision. */
export type Columns = readonly Float64Array[];

const dot = (x: Float64Array, y: Float64Array): number => {
  let sum = 0;
  for (let at = 0; at < x.length; at += 1) sum += (x[at] ?? 0) * (y[at] ?? 0);
  return sum;
};

/** Takes `factor` times x away from y. */
const takeAway = (y: Float64Array, x: Float64Array, factor: number): void => {
  for (let at = 0; at < y.length; at += 1) y[at] = (y[at] ?? 0) - factor * (x[at] ?? 0);
};

/** Of a column, below which what is left of it is rounding. */
const lost = 1e-13;

/**
 * Orthonormal columns q, and r with `columns[j]` = sum over i of q[i] · r[i][j]. A column that depends on those before it has
 * a q of zeros. Gram-Schmidt, each column twice: as orthogonal as rounding allows.
 */
const orthonormal = (columns: Columns): { readonly q: Columns; readonly r: Columns } => {
  const q: Float64Array[] = [];
  const r = columns.map(() => new Float64Array(columns.length));
  for (const [j, column] of columns.entries()) {
    const rest = column.slice();
    for (let pass = 0; pass < 2; pass += 1) {
      for (const [i, before] of q.entries()) {
        const along = dot(before, rest);
        takeAway(rest, before, along);
        r[i]![j]! += along;
      }
    }
    const length = Math.sqrt(dot(rest, rest));
    const dependent = length <= lost * Math.sqrt(dot(column, column));
    r[j]![j] = dependent ? 0 : length;
    q.push(dependent ? rest.fill(0) : rest.map((value) => value / length));
  }
  return { q, r };
};

/** Cosines of two columns below which they are orthogonal, and rounds that are never needed. */
const orthogonal = 1e-15;
const mostRounds = 60;

/** Turns x and y in their plane. */
const turn = (x: Float64Array, y: Float64Array, cosine: number, sine: number): void => {
  for (let at = 0; at < x.length; at += 1) {
    const [left, right] = [x[at] ?? 0, y[at] ?? 0];
    x[at] = cosine * left - sine * right;
    y[at] = sine * left + cosine * right;
  }
};

/**
 * One-sided Jacobi: turns the columns of a matrix until each two are orthogonal. Then the matrix is that of `turned` times the
 * transpose of `v`, and the singular values are the lengths of `turned`.
 */
const jacobi = (columns: Columns): { readonly turned: Columns; readonly v: Columns } => {
  const turned = columns.map((column) => column.slice());
  const v = columns.map((_, at) => Float64Array.from(columns, (_column, row) => (row === at ? 1 : 0)));
  for (let round = 0; round < mostRounds; round += 1) {
    let moved = false;
    for (const [j, y] of turned.entries()) {
      for (let i = 0; i < j; i += 1) {
        const x = turned[i]!;
        const [xx, yy, xy] = [dot(x, x), dot(y, y), dot(x, y)];
        if (xy === 0 || Math.abs(xy) <= orthogonal * Math.sqrt(xx * yy)) continue;
        moved = true;
        const zeta = (yy - xx) / (2 * xy);
        const tangent = (zeta < 0 ? -1 : 1) / (Math.abs(zeta) + Math.sqrt(1 + zeta * zeta));
        const cosine = 1 / Math.sqrt(1 + tangent * tangent);
        turn(x, y, cosine, cosine * tangent);
        turn(v[i]!, v[j]!, cosine, cosine * tangent);
      }
    }
    if (!moved) break;
  }
  return { turned, v };
};

/** Sum over i of columns[i] · factors[i]. */
const combined = (columns: Columns, factors: Float64Array): Float64Array => {
  const sum = new Float64Array(columns[0]?.length ?? 0);
  for (const [at, column] of columns.entries()) takeAway(sum, column, -(factors[at] ?? 0));
  return sum;
};

/**
 * The `rank` largest singular values of b · aᵀ with what belongs to them, without ever making that matrix: `left` are left
 * vectors times their values, `right` the right vectors. Fewer, where b · aᵀ has a smaller rank than is asked for; one at least.
 */
export const productSvd = (
  b: Columns,
  a: Columns,
  rank: number,
): { readonly left: Columns; readonly right: Columns } => {
  const [ofB, ofA] = [orthonormal(b), orthonormal(a)];
  // core[j][i] = sum over k of r_b[i][k] · r_a[j][k]: column j of r_b · r_aᵀ.
  const core = ofA.r.map((rowA) => Float64Array.from(ofB.r, (rowB) => dot(rowB, rowA)));
  const { turned, v } = jacobi(core);
  const values = turned.map((column, at) => ({ at, value: Math.sqrt(dot(column, column)) }));
  values.sort((x, y) => y.value - x.value || x.at - y.at);
  const largest = values[0]?.value ?? 0;
  const kept = values.filter(({ value }, place) => place === 0 || (place < rank && value > lost * largest));
  return {
    left: kept.map(({ at }) => combined(ofB.q, turned[at]!)),
    right: kept.map(({ at }) => combined(ofA.q, v[at]!)),
  };
};
