import { type DecodeRun, spanOf } from './decode-plan.ts';

type Split = { readonly cost: number; readonly groups: readonly (readonly number[])[] };

/**
 * Splits a run of rows where shorter rows are padded to the longest: into groups for which steps and padding
 * together cost least. `perStep`: tokens of padding that cost as much as a step; Infinity where rows are not padded.
 */
export const bySimilarLength = <A>(
  run: DecodeRun<A>,
  { lengthOf, perStep }: { readonly lengthOf: (row: number) => number; readonly perStep: number },
): readonly DecodeRun<A>[] => {
  if (run.rows.length < 2 || perStep === Infinity) return [run];
  const rows = run.rows.toSorted((a, b) => lengthOf(b) - lengthOf(a));
  // The best split of the shortest rows, from one of them to all.
  const best: Split[] = [{ cost: 0, groups: [] }];
  for (let from = rows.length - 1; from >= 0; from -= 1) {
    const longest = lengthOf(rows[from] ?? 0);
    const splits = rows.slice(from).map((_, at): Split => {
      const rest = best[rows.length - from - at - 1] ?? { cost: 0, groups: [] };
      const group = rows.slice(from, from + at + 1);
      return { cost: perStep + longest * group.length + rest.cost, groups: [group, ...rest.groups] };
    });
    best.push(splits.reduce((least, split) => (split.cost < least.cost ? split : least)));
  }
  return (best.at(-1)?.groups ?? []).map((group) =>
    spanOf(
      group.map((row) => ({ row, adapter: null })),
      run.with,
    ),
  );
};
