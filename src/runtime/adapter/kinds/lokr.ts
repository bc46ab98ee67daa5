import { z } from 'zod';
import { AdaptletError } from '../../../errors/adaptlet-error.ts';
import { quoteUntrusted } from '../../../errors/quote-untrusted.ts';
import type { WeightEntry } from '../scales.ts';
import {
  checkRank,
  type Fields,
  type Kind,
  type MadePair,
  type ModuleTensors,
  type RankAndScaling,
  refuse,
  sameRank,
  sizeOf,
  tensorOf,
} from './kind.ts';
import { lycorisFields } from './loha.ts';

/** Defaults as in peft/tuners/lokr/config.py. */
const schema = z.looseObject({
  decompose_both: z.boolean().nullish(),
  decompose_factor: z.int().default(-1),
});

const settingsOf = (fields: Fields): z.infer<typeof schema> => {
  const parsed = schema.safeParse(fields);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw new AdaptletError(
    'ADAPTER_CONFIG_INVALID',
    `adapter_config.json: ${quoteUntrusted(issue?.path.join('.') ?? '')}: ${issue?.message ?? 'not valid'}`,
  );
};

/** A larger number of features is of no linear, and would take long to take apart. */
const maxFeatures = 2 ** 24;

/**
 * The two factors of a number of features, as PEFT chooses them (peft/tuners/lokr/layer.py factorization): `factor` and the rest where that
 * divides it, else those next to its root of which the smaller is at most `factor`; -1 sets no limit.
 */
export const factorization = (features: number, factor: number): readonly [number, number] => {
  if (factor > 0 && features % factor === 0) return [factor, features / factor];
  const most = factor === -1 ? features : factor;
  let small = 1;
  for (let next = 2; next <= most && next * next <= features; next += 1)
    if (features % next === 0) small = next;
  return [small, features / small];
};

/** A factor of the Kronecker product: left · right, with `rank` columns and rows; one of both may be the identity. */
type Factor = {
  readonly rows: number;
  readonly columns: number;
  readonly rank: number;
  readonly left: WeightEntry | 'identity';
  readonly right: WeightEntry | 'identity';
};

/** A whole matrix is itself and the smaller of two identities. */
const wholeFactor = (entry: WeightEntry): Factor => {
  const [rows, columns] = sizeOf(entry);
  return rows <= columns
    ? { rows, columns, rank: rows, left: 'identity', right: entry }
    : { rows, columns, rank: columns, left: entry, right: 'identity' };
};

const factorOf = (tensors: ModuleTensors, name: 'lokr_w1' | 'lokr_w2', rank: number): Factor => {
  const whole = tensors.tensors.get(name);
  const [nameA, nameB] = [`${name}_a`, `${name}_b`];
  if (whole !== undefined) {
    const [more] = [nameA, nameB].filter((part) => tensors.tensors.has(part));
    if (more === undefined) return wholeFactor(whole);
    throw refuse(
      'ADAPTER_TENSOR_UNKNOWN',
      `module ${quoteUntrusted(tensors.module)} has ${more} beside ${name}, which stands for the same`,
    );
  }
  const [left, right] = [tensorOf(tensors, nameA), tensorOf(tensors, nameB)];
  const [rows, ranksA] = sizeOf(left);
  const [ranksB, columns] = sizeOf(right);
  const own = sameRank(tensors.module, { [nameA]: ranksA, [nameB]: ranksB });
  checkRank(tensors.module, own, rank);
  return { rows, columns, rank: own, left, right };
};

type Matrix = { readonly rows: number; readonly columns: number; readonly values: Float32Array };

const matrixOf = (
  half: WeightEntry | 'identity',
  size: number,
  valuesOf: (entry: WeightEntry) => Float32Array,
): Matrix => {
  if (half !== 'identity') {
    const [rows, columns] = sizeOf(half);
    return { rows, columns, values: valuesOf(half) };
  }
  const values = new Float32Array(size * size);
  for (let at = 0; at < size; at += 1) values[at * size + at] = 1;
  return { rows: size, columns: size, values };
};

const kronecker = (left: Matrix, right: Matrix): Float32Array => {
  const columns = left.columns * right.columns;
  const product = new Float32Array(left.rows * right.rows * columns);
  for (let l = 0; l < left.rows; l += 1) {
    for (let m = 0; m < left.columns; m += 1) {
      const factor = left.values[l * left.columns + m] ?? 0;
      if (factor === 0) continue;
      for (let r = 0; r < right.rows; r += 1) {
        const at = (l * right.rows + r) * columns + m * right.columns;
        for (let c = 0; c < right.columns; c += 1)
          product[at + c] = factor * (right.values[r * right.columns + c] ?? 0);
      }
    }
  }
  return product;
};

/** PEFT makes its tensors by the configuration, and what fits none of them it leaves at random values. */
const checkForm = (
  { module, tensors }: ModuleTensors,
  { rank, w1, w2 }: { readonly rank: number; readonly w1: Factor; readonly w2: Factor },
  settings: z.infer<typeof schema>,
): void => {
  const [outFeatures, inFeatures] = [w1.rows * w2.rows, w1.columns * w2.columns];
  if ([outFeatures, inFeatures].some((features) => features < 1 || features > maxFeatures)) {
    const said = `takes ${inFeatures} features and gives ${outFeatures}`;
    throw refuse('ADAPTER_SHAPE', `module ${quoteUntrusted(module)} ${said}`);
  }
  const rows = factorization(outFeatures, settings.decompose_factor);
  const columns = factorization(inFeatures, settings.decompose_factor);
  const mayBeTwo = { lokr_w1: settings.decompose_both === true, lokr_w2: true };
  const forms = [
    { name: 'lokr_w1', found: w1, shape: [rows[0], columns[0]] },
    { name: 'lokr_w2', found: w2, shape: [rows[1], columns[1]] },
  ] as const;
  for (const { name, found, shape } of forms) {
    const form = (isTwo: boolean, size: readonly number[]): string =>
      `${name}${isTwo ? ' as two matrices' : ''} of the shape [${size.join(', ')}]`;
    const there = form(!tensors.has(name), [found.rows, found.columns]);
    const configured = form(mayBeTwo[name] && rank < Math.max(...shape) / 2, shape);
    if (there === configured) continue;
    throw refuse(
      'ADAPTER_SHAPE',
      `module ${quoteUntrusted(module)} has ${there}; by adapter_config.json it is ${configured}`,
    );
  }
};

const pairOf = (
  tensors: ModuleTensors,
  { rankOf, scalingOf }: RankAndScaling,
  settings: z.infer<typeof schema>,
): MadePair => {
  const { module } = tensors;
  const rank = rankOf(module);
  const w1 = factorOf(tensors, 'lokr_w1', rank);
  const w2 = factorOf(tensors, 'lokr_w2', rank);
  checkForm(tensors, { rank, w1, w2 }, settings);
  return {
    rank: w1.rank * w2.rank,
    inFeatures: w1.columns * w2.columns,
    outFeatures: w1.rows * w2.rows,
    scale: scalingOf(module),
    why: ` as a pair of matrices, the ranks ${w1.rank} and ${w2.rank} of its factors as LoKr multiplied`,
    make: (valuesOf) => {
      const half = (side: 'left' | 'right'): Float32Array =>
        kronecker(matrixOf(w1[side], w1.rank, valuesOf), matrixOf(w2[side], w2.rank, valuesOf));
      return { a: half('right'), b: half('left') };
    },
  };
};

/** LoKr (arXiv:2309.14859): w1 ⊗ w2, each whole or a product of two; (P Q) ⊗ (S T) is (P ⊗ S)(Q ⊗ T), which is B·A. */
export const lokr: Kind = {
  tensors: new Set(['lokr_w1', 'lokr_w1_a', 'lokr_w1_b', 'lokr_w2', 'lokr_w2_a', 'lokr_w2_b']),
  loraFields: (fields) => {
    settingsOf(fields);
    return lycorisFields(fields, ['decompose_both', 'decompose_factor', 'rank_dropout_scale']);
  },
  pairsOf: (fields, config, modules) => {
    const settings = settingsOf(fields);
    return new Map(modules.map((tensors) => [tensors.module, pairOf(tensors, config, settings)]));
  },
};
