/** A sequence that wants its next token, in its row; `A` stands for an adapter, null for the base model. */
export type DecodeRow<A> = { readonly row: number; readonly adapter: A | null };

/** Rows next to each other that one run decodes. `with`: one adapter for all of them, or each row its own. */
export type DecodeRun<A> = {
  readonly first: number;
  readonly count: number;
  /** Rows whose tokens count; what the others give is nobody's. */
  readonly rows: readonly number[];
  readonly with: { readonly kind: 'one'; readonly adapter: A | null } | { readonly kind: 'each' };
};

export type DecodeLimits = {
  /** False where the graph takes one sequence at a time. */
  readonly together: boolean;
  /** Rows of a run can have different adapters. */
  readonly mixed: boolean;
};

/** The run of some rows. */
export const spanOf = <A>(rows: readonly DecodeRow<A>[], what: DecodeRun<A>['with']): DecodeRun<A> => {
  const numbers = rows.map(({ row }) => row);
  const first = Math.min(...numbers);
  return { first, count: Math.max(...numbers) - first + 1, rows: numbers, with: what };
};

/**
 * The runs that give each row its next token. A run takes rows that are next to each other, so others between them ride
 * along. Rows of one adapter run together; of several, where the graph takes an adapter for each row.
 */
export const planDecode = <A>(
  rows: readonly DecodeRow<A>[],
  { together, mixed }: DecodeLimits,
): readonly DecodeRun<A>[] => {
  if (!together) return rows.map((row) => spanOf([row], { kind: 'one', adapter: row.adapter }));
  const byAdapter = [...Map.groupBy(rows, ({ adapter }) => adapter)];
  if (mixed && byAdapter.length > 1) return [spanOf(rows, { kind: 'each' })];
  return byAdapter.map(([adapter, own]) => spanOf(own, { kind: 'one', adapter }));
};
