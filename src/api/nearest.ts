/** Words longer than this are not compared. */
const maxCompared = 128;

/**
 * Edits (insert, delete, replace, swap of neighbours) that make `a` out of `b`, by optimal string alignment over UTF-16
 * units; `limit + 1` when there are more than `limit`. What both begin and end with is skipped, and of the rest only
 * the diagonal band that can stay within the limit is computed: a mistyped name must cost little among ten thousand.
 */
export const editDistance = (a: string, b: string, limit: number): number => {
  if (Math.abs(a.length - b.length) > limit) return limit + 1;
  const shorter = Math.min(a.length, b.length);
  let start = 0;
  while (start < shorter && a.charCodeAt(start) === b.charCodeAt(start)) start++;
  let end = 0;
  while (end < shorter - start && a.charCodeAt(a.length - 1 - end) === b.charCodeAt(b.length - 1 - end))
    end++;
  return banded(a.slice(start, a.length - end), b.slice(start, b.length - end), limit);
};

const banded = (a: string, b: string, limit: number): number => {
  const tooFar = limit + 1;
  if (a === '' || b === '') return a.length + b.length;
  let beforeLast = new Uint8Array(b.length + 1);
  let last = Uint8Array.from({ length: b.length + 1 }, (_, j) => Math.min(j, tooFar));
  let row = new Uint8Array(b.length + 1);
  for (let i = 1; i <= a.length; i++) {
    const [from, to] = [Math.max(1, i - limit), Math.min(b.length, i + limit)];
    const letter = a.charCodeAt(i - 1);
    // What lies outside the band counts as too far.
    row[from - 1] = from === 1 ? Math.min(i, tooFar) : tooFar;
    if (to === i + limit) last[to] = tooFar;
    let least = at(row, from - 1);
    for (let j = from; j <= to; j++) {
      const other = b.charCodeAt(j - 1);
      let cost = Math.min(at(last, j) + 1, at(row, j - 1) + 1, at(last, j - 1) + (letter === other ? 0 : 1));
      if (i > 1 && j > 1 && letter === b.charCodeAt(j - 2) && a.charCodeAt(i - 2) === other) {
        cost = Math.min(cost, at(beforeLast, j - 2) + 1);
      }
      row[j] = Math.min(cost, tooFar);
      if (cost < least) least = cost;
    }
    if (least > limit) return tooFar;
    [beforeLast, last, row] = [last, row, beforeLast];
  }
  return at(last, b.length);
};

const at = (row: Uint8Array, index: number): number => row[index] ?? 0;

/**
 * What a person who wrote `word` could have meant, at most `count` of the candidates: nearest first, then by name. Case
 * does not count. At most a third of the letters may be wrong, and not more than eight.
 */
export const nearest = (word: string, candidates: Iterable<string>, count = 1): string[] => {
  if (word.length > maxCompared) return [];
  const wanted = word.toLowerCase();
  let limit = Math.min(8, Math.max(1, Math.floor(wanted.length / 3)));
  const found: { readonly candidate: string; readonly edits: number }[] = [];
  for (const candidate of candidates) {
    const edits = editDistance(wanted, candidate.toLowerCase(), limit);
    if (edits > limit) continue;
    const place = found.findIndex(
      (other) => other.edits > edits || (other.edits === edits && other.candidate > candidate),
    );
    found.splice(place < 0 ? found.length : place, 0, { candidate, edits });
    if (found.length > count) found.pop();
    // Once there are enough, what is farther than the worst of them is of no interest.
    if (found.length === count) limit = found.at(-1)?.edits ?? limit;
  }
  return found.map(({ candidate }) => candidate);
};
