import type { StoredType } from '../../compiled/compiled-file.ts';

/** Where one half of a pair is, and how: what is computed with is a value times `scale`; int8 has its scales before the values. */
export type HalfAt = { readonly address: bigint; readonly type: StoredType; readonly scale: number };

/**
 * A pair in memory: A [rank, in] and B [rank, out]. factors and shifts: addresses of a float32 for each output feature, which the
 * sum with the base is multiplied by, and which is then added.
 */
export type PairAt = {
  readonly rank: number;
  readonly a: HalfAt;
  readonly b: HalfAt;
  readonly factors?: bigint;
  readonly shifts?: bigint;
};

/** The pairs of an adapter, by the linear that each is for. */
export type Pairs = ReadonlyMap<string, PairAt>;

/** A pair whose values are float32, as they are computed with. */
export const floatPair = (rank: number, a: bigint, b: bigint): PairAt => ({
  rank,
  a: { address: a, type: 'float32', scale: 1 },
  b: { address: b, type: 'float32', scale: 1 },
});
