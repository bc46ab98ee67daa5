import { AdaptletError } from '../../../errors/adaptlet-error.ts';
import { quoteUntrusted } from '../../../errors/quote-untrusted.ts';
import { type Columns, productSvd } from './svd.ts';

/** How adapters are merged, by the names of PEFT's `combination_type`. */
export const methods = ['cat', 'linear', 'svd'] as const;
export type Method = (typeof methods)[number];

/** The pair of one parent for a module: its change of the weight is `scale` · B · A. */
export type Share = {
  /** What the parent counts in the sum. */
  readonly weight: number;
  readonly scale: number;
  readonly rank: number;
  /** [rank, in] and [out, rank] */
  readonly a: Float32Array;
  readonly b: Float32Array;
};

/** A pair whose change of the weight is B · A. */
export type Merged = { readonly rank: number; readonly a: Float32Array; readonly b: Float32Array };

const refuse = (what: string): AdaptletError => new AdaptletError('ADAPTERS_NOT_COMPOSABLE', what);

/** The sum itself: ranks side by side, weights and scales in A. */
const cat = (shares: readonly Share[]): Merged => {
  const rank = shares.reduce((sum, share) => sum + share.rank, 0);
  const outFeatures = (shares[0]?.b.length ?? 0) / (shares[0]?.rank ?? 1);
  const a = Float32Array.from(
    shares.flatMap((share) => Array.from(share.a, (value) => value * share.weight * share.scale)),
  );
  const b = new Float32Array(outFeatures * rank);
  let first = 0;
  for (const share of shares) {
    for (let out = 0; out < outFeatures; out += 1) {
      for (let k = 0; k < share.rank; k += 1) {
        b[out * rank + first + k] = share.b[out * share.rank + k] ?? 0;
      }
    }
    first += share.rank;
  }
  return { rank, a, b };
};

/** Sums of A and of B by themselves, each times the root of weight and scale; what is below 0 is so in A. */
const linear = (shares: readonly Share[], module: string): Merged => {
  const rank = shares[0]?.rank ?? 0;
  const other = shares.find((share) => share.rank !== rank);
  if (other !== undefined) {
    throw refuse(
      `linear needs one rank, and ${quoteUntrusted(module)} has the ranks ${rank} and ${other.rank}; cat and svd do not`,
    );
  }
  const summed = (half: 'a' | 'b'): Float32Array => {
    const sum = new Float64Array(shares[0]?.[half].length ?? 0);
    for (const { weight, scale, [half]: values } of shares) {
      const root = Math.sqrt(Math.abs(weight * scale));
      const factor = half === 'a' && weight * scale < 0 ? -root : root;
      for (const [at, value] of values.entries()) sum[at]! += factor * value;
    }
    return Float32Array.from(sum);
  };
  return { rank, a: summed('a'), b: summed('b') };
};

/** What is nearest to the sum with a rank of `most` (Eckart and Young). */
const svd = (shares: readonly Share[], most: number): Merged => {
  const rows = ({ a, rank }: Share): Columns => {
    const inFeatures = a.length / rank;
    return Array.from({ length: rank }, (_, k) =>
      Float64Array.from(a.subarray(k * inFeatures, (k + 1) * inFeatures)),
    );
  };
  const columns = ({ b, rank, weight, scale }: Share): Columns =>
    Array.from({ length: rank }, (_, k) =>
      Float64Array.from(
        { length: b.length / rank },
        (_value, out) => (b[out * rank + k] ?? 0) * weight * scale,
      ),
    );
  const { left, right } = productSvd(shares.flatMap(columns), shares.flatMap(rows), most);
  const rank = left.length;
  const a = Float32Array.from(right.flatMap((row) => [...row]));
  const b = new Float32Array((left[0]?.length ?? 0) * rank);
  for (const [k, column] of left.entries()) {
    for (const [out, value] of column.entries()) b[out * rank + k] = value;
  }
  return { rank, a, b };
};

/**
 * Merges the pairs that the parents have for one module. `rank`: the largest that `svd` gives. Pure.
 * @throws ADAPTERS_NOT_COMPOSABLE
 */
export const combine = (
  method: Method,
  shares: readonly Share[],
  { module, rank }: { readonly module: string; readonly rank: number },
): Merged => {
  if (method === 'cat') return cat(shares);
  return method === 'linear' ? linear(shares, module) : svd(shares, rank);
};
