import { AdaptletError } from '../../../errors/adaptlet-error.ts';
import { quoteUntrusted } from '../../../errors/quote-untrusted.ts';
import {
  checkRank,
  type Fields,
  type Kind,
  type MadePair,
  type ModuleTensors,
  type RankAndScaling,
  sameRank,
  sharedFields,
  sizeOf,
  tensorOf,
} from './kind.ts';

/** What LoHa and LoKr take of LoRA's fields, with `alpha` for `lora_alpha`. */
export const lycorisFields = (fields: Fields, own: readonly string[]): Fields => {
  const kept = sharedFields(fields, {
    shared: ['r', 'rank_pattern', 'alpha_pattern', 'layers_to_transform', 'layers_pattern'],
    own: ['alpha', 'rank_dropout', 'module_dropout', 'use_effective_conv2d', 'init_weights', ...own],
  });
  return fields['alpha'] === undefined ? kept : { ...kept, lora_alpha: fields['alpha'] };
};

/** Rows of two matrices of `columns`, each with each, multiplied element by element: [n · m, columns]. */
const rowProducts = (left: Float32Array, right: Float32Array, columns: number): Float32Array => {
  const [n, m] = [left.length / columns, right.length / columns];
  const products = new Float32Array(n * m * columns);
  for (let i = 0; i < n; i += 1) {
    for (let j = 0; j < m; j += 1) {
      const at = (i * m + j) * columns;
      for (let c = 0; c < columns; c += 1)
        products[at + c] = (left[i * columns + c] ?? 0) * (right[j * columns + c] ?? 0);
    }
  }
  return products;
};

/** The same of columns of two matrices of `rows`: [rows, n · m]. */
const columnProducts = (left: Float32Array, right: Float32Array, rows: number): Float32Array => {
  const [n, m] = [left.length / rows, right.length / rows];
  const products = new Float32Array(rows * n * m);
  for (let row = 0; row < rows; row += 1) {
    for (let i = 0; i < n; i += 1) {
      const factor = left[row * n + i] ?? 0;
      for (let j = 0; j < m; j += 1) products[(row * n + i) * m + j] = factor * (right[row * m + j] ?? 0);
    }
  }
  return products;
};

const pairOf = (tensors: ModuleTensors, { rankOf, scalingOf }: RankAndScaling): MadePair => {
  const { module } = tensors;
  const of = (name: string) => tensorOf(tensors, `hada_${name}`);
  const [w1a, w1b, w2a, w2b] = [of('w1_a'), of('w1_b'), of('w2_a'), of('w2_b')];
  const [out1, a1] = sizeOf(w1a);
  const [b1, in1] = sizeOf(w1b);
  const [out2, a2] = sizeOf(w2a);
  const [b2, in2] = sizeOf(w2b);
  const rank = sameRank(module, { hada_w1_a: a1, hada_w1_b: b1, hada_w2_a: a2, hada_w2_b: b2 });
  checkRank(module, rank, rankOf(module));
  if (out1 !== out2 || in1 !== in2) {
    throw new AdaptletError(
      'ADAPTER_SHAPE',
      `adapter_model.safetensors: the products of module ${quoteUntrusted(module)} have the shapes [${out1}, ${in1}] and [${out2}, ${in2}]`,
    );
  }
  return {
    rank: rank ** 2,
    inFeatures: in1,
    outFeatures: out1,
    scale: scalingOf(module),
    why: ` as a pair of matrices, the square of its rank ${rank} as LoHa`,
    make: (valuesOf) => ({
      a: rowProducts(valuesOf(w1b), valuesOf(w2b), in1),
      b: columnProducts(valuesOf(w1a), valuesOf(w2a), out1),
    }),
  };
};

/**
 * Newer versions of PEFT scale LoHa differently where it is initialised as ABBA: that is not read here.
 * @throws ADAPTER_FIELD_UNKNOWN
 */
const refuseAbba = (fields: Fields): void => {
  const { init_weights: init, use_khatri_rao: product } = fields;
  const isAbba = typeof init === 'string' && init.toLowerCase() === 'abba';
  if (product !== true && !isAbba) return;
  throw new AdaptletError(
    'ADAPTER_FIELD_UNKNOWN',
    'adapter_config.json: it is scaled as ABBA (use_khatri_rao, or init_weights="abba"), which is not read here',
    { advice: 'Train it with `init_weights=True` and without `use_khatri_rao`.' },
  );
};

/**
 * LoHa (arXiv:2108.06098): (w1_a w1_b) ∘ (w2_a w2_b), which is B·A with the products of each column of w1_a with each of w2_a in B, and
 * of the rows of w1_b and w2_b in A.
 */
export const loha: Kind = {
  tensors: new Set(['hada_w1_a', 'hada_w1_b', 'hada_w2_a', 'hada_w2_b']),
  loraFields: (fields) => {
    refuseAbba(fields);
    return lycorisFields(fields, ['use_khatri_rao']);
  },
  pairsOf: (_fields, config, modules) =>
    new Map(modules.map((tensors) => [tensors.module, pairOf(tensors, config)])),
};
