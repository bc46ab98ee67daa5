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
  /** True when rows of this adapter can stand beside those of others. */
  readonly mixes: (adapter: A | null) => boolean;
};

const spanOf = <A>(rows: readonly DecodeRow<A>[], what: DecodeRun<A>['with']): DecodeRun<A> => {
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
 * along. Rows of one adapter run on its own graph; of several together, each with its own; adapters that cannot stand
 * beside others run by themselves.
 */
export const planDecode = <A>(
  rows: readonly DecodeRow<A>[],
  { together, mixes }: DecodeLimits<A>,
): readonly DecodeRun<A>[] => {
  if (!together) return rows.map((row) => spanOf([row], { kind: 'one', adapter: row.adapter }));
  const alone = rows.filter(({ adapter }) => !mixes(adapter));
  const mixed = rows.filter(({ adapter }) => mixes(adapter));
  const adapters = new Set(mixed.map(({ adapter }) => adapter));
  if (adapters.size <= 1) return byAdapter(rows);
  return [spanOf(mixed, { kind: 'each' }), ...byAdapter(alone)];
};
