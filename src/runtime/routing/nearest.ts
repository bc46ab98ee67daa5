/** Names and requests longer than this are not compared. */
const maxCompared = 128;

/**
 * Edits (insert, delete, replace, swap of neighbours) that make `a` out of `b`, by optimal string alignment; `limit + 1`
 * when there are more than `limit`.
 */
export const editDistance = (a: string, b: string, limit: number): number => {
  if (Math.abs(a.length - b.length) > limit) return limit + 1;
  let beforeLast: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    let least = i;
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1];
      const swapped = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1];
      const cost = Math.min(
        at(last, j) + 1,
        at(row, j - 1) + 1,
        at(last, j - 1) + (same ? 0 : 1),
        swapped ? at(beforeLast, j - 2) + 1 : Number.POSITIVE_INFINITY,
      );
      row.push(cost);
      least = Math.min(least, cost);
    }
    if (least > limit) return limit + 1;
    [beforeLast, last] = [last, row];
  }
  return Math.min(at(last, b.length), limit + 1);
};

const at = (row: readonly number[], index: number): number => row[index] ?? Number.POSITIVE_INFINITY;

/** The names nearest to what somebody wrote, at most `count`, the nearest first; none when all are too far away. */
export const nearest = (wanted: string, names: Iterable<string>, count = 3): string[] => {
  if (wanted.length > maxCompared) return [];
  // A third of the letters may be wrong, but not less than two.
  let limit = Math.max(2, Math.floor(wanted.length / 3));
  let found: { readonly name: string; readonly edits: number }[] = [];
  for (const name of names) {
    if (name.length > maxCompared) continue;
    const edits = editDistance(wanted, name, limit);
    if (edits > limit) continue;
    found = [...found, { name, edits }]
      .sort((x, y) => x.edits - y.edits || (x.name < y.name ? -1 : 1))
      .slice(0, count);
    // Once there are enough, only what is as near as the worst of them is of interest.
    if (found.length === count) limit = found.at(-1)?.edits ?? limit;
  }
  return found.map(({ name }) => name);
};
