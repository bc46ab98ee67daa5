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

export type DecodeLimits<A> = {
  /** False where the graph takes one sequence at a time. */
  readonly together: boolean;
  /** Of rows with different adapters, the numbers of those that can stand beside each other. */
  readonly mixing: (rows: readonly DecodeRow<A>[]) => ReadonlySet<number>;
};

/** The run of some rows. */
export const spanOf = <A>(rows: readonly DecodeRow<A>[], what: DecodeRun<A>['with']): DecodeRun<A> => {
  const numbers = rows.map(({ row }) => row);
  const first = Math.min(...numbers);
  return { first, count: Math.max(...numbers) - first + 1, rows: numbers, with: what };
};

/** One run for the rows of each adapter. */
const byAdapter = <A>(rows: readonly DecodeRow<A>[]): readonly DecodeRun<A>[] =>
  [...Map.groupBy(rows, ({ adapter }) => adapter)].map(([adapter, own]) =>
    spanOf(own, { kind: 'one', adapter }),
  );

/**
 * The runs that give each row its next token. A run takes rows that are next to each other, so others between them ride
 * along. Rows of one adapter run on its own graph; of several together, each with its own; rows that cannot stand
 * beside others run by themselves, those of one adapter together.
 */
export const planDecode = <A>(
  rows: readonly DecodeRow<A>[],
  { together, mixing }: DecodeLimits<A>,
): readonly DecodeRun<A>[] => {
  if (!together) return rows.map((row) => spanOf([row], { kind: 'one', adapter: row.adapter }));
  if (new Set(rows.map(({ adapter }) => adapter)).size <= 1) return byAdapter(rows);
  const among = mixing(rows);
  const mixed = rows.filter(({ row }) => among.has(row));
  if (new Set(mixed.map(({ adapter }) => adapter)).size <= 1) return byAdapter(rows);
  return [spanOf(mixed, { kind: 'each' }), ...byAdapter(rows.filter(({ row }) => !among.has(row)))];
};
