const at = (list: readonly number[], index: number): number => list[index] ?? 0;

/** Edit distance with transpositions (optimal string alignment), over UTF-16 units. */
const distance = (a: string, b: string): number => {
  let beforeLast: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i += 1) {
    const row = [i];
    for (let j = 1; j <= b.length; j += 1) {
      const cost = a[i - 1] === b[j - 1] ? 0 : 1;
      let best = Math.min(at(last, j) + 1, at(row, j - 1) + 1, at(last, j - 1) + cost);
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1])
        best = Math.min(best, at(beforeLast, j - 2) + 1);
      row.push(best);
    }
    beforeLast = last;
    last = row;
  }
  return last[b.length] ?? 0;
};

/**
 * Candidates that a person who wrote `word` could have meant, nearest first; case does not count. At most a third of
 * the letters may differ.
 */
export const nearest = (word: string, candidates: Iterable<string>, limit = 1): string[] => {
  const wanted = word.slice(0, 128).toLowerCase();
  const allowed = Math.max(1, Math.floor(wanted.length / 3));
  const found: { candidate: string; away: number }[] = [];
  for (const candidate of candidates) {
    if (Math.abs(candidate.length - wanted.length) > allowed) continue;
    const away = distance(wanted, candidate.toLowerCase());
    if (away <= allowed) found.push({ candidate, away });
  }
  return found
    .toSorted((a, b) => a.away - b.away || (a.candidate < b.candidate ? -1 : 1))
    .slice(0, limit)
    .map(({ candidate }) => candidate);
};
