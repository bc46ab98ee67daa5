import type { CompileTarget, Site } from '../compiled/compile-target.ts';
import { refuseWithoutOperator } from '../compiled/compiled-adapter.ts';
import type { CompiledTensor } from '../compiled/compiled-file.ts';
import type { Unplaced } from '../compiled/file-layout.ts';
import { type Biases, checkBiases, readAdded, splitBiases } from './base-bias.ts';
import { doraFactors } from './dora.ts';
import { biasOf, factorsOf, type Scaled, scaledOf, shiftsOf, vectorsOf } from './ia3.ts';
import { type Pair, pairsOf } from './pairs.ts';
import type { PeftConfig } from './peft-config.ts';
import type { WeightEntry } from './scales.ts';
import { floatsOf, storedTypeOf, storeTensor } from './weights.ts';
import { unwrapped, wrapped, wrapperOf } from './wrapped-sites.ts';

/** A tensor of the compiled file: what it says of it, and what writes its values there, given the data of the artifact. */
export type Part = {
  readonly tensor: Unplaced;
  readonly store: (
    data: ArrayBuffer,
    tensor: CompiledTensor,
    file: Buffer<ArrayBuffer>,
  ) => void | Promise<void>;
};

const halfOf = (
  name: 'A' | 'B',
  { site, rank }: Pair,
  { entry, factor }: { readonly entry: WeightEntry; readonly factor: number },
): Part => {
  const dtype = storedTypeOf(entry);
  const features = name === 'A' ? site.inFeatures : site.outFeatures;
  // Float32 is stored as it is computed with: such a file is read to where it stays.
  const scale = dtype === 'float32' ? 1 : factor;
  return {
    tensor: { module: site.module, half: name, shape: [rank, features], dtype, scale },
    store: (data, tensor, file) => storeTensor(entry, data, factor, tensor, file),
  };
};

/** A tensor of one float32 for each feature. */
const vectorOf = (
  name: 'factors' | 'shifts',
  { site }: Pick<Pair, 'site'>,
  values: (data: ArrayBuffer) => Float32Array | Promise<Float32Array>,
): Part => ({
  tensor: {
    module: site.module,
    half: name,
    shape: [1, site.outFeatures],
    dtype: 'float32',
    scale: 1,
  },
  store: async (data, { offset }, file) => {
    const floats = await values(data);
    file.set(new Uint8Array(floats.buffer, floats.byteOffset, floats.byteLength), offset);
  },
});

/** A pair that changes nothing: what is with it acts on the product of the base. */
const zeroPair = ({ module, inFeatures, outFeatures }: Site): readonly Part[] => {
  const zeros = (half: 'A' | 'B', features: number): Part => ({
    tensor: { module, half, shape: [1, features], dtype: 'float32', scale: 1 },
    store: () => undefined,
  });
  return [zeros('A', inFeatures), zeros('B', outFeatures)];
};

/** What takes the place of the bias that the base adds: the difference to it. */
const biasDifference = async (
  { added = [] }: Site,
  entry: WeightEntry,
  data: ArrayBuffer,
): Promise<Float32Array> => {
  const before = await readAdded(added);
  return floatsOf(entry, data, 1).map((value, at) => value - (before[at] ?? 0));
};

/** What is added to the sum of base and pair: the bias of B, and the difference of the bias of the base. */
const shiftsPart = (
  { site, bias, scale }: Pick<Pair, 'site' | 'bias' | 'scale'>,
  ofBase: WeightEntry | undefined,
): readonly Part[] => {
  if (bias === undefined && ofBase === undefined) return [];
  return [
    vectorOf('shifts', { site }, async (data) => {
      const own = bias === undefined ? undefined : floatsOf(bias, data, scale);
      if (ofBase === undefined) return own ?? new Float32Array(site.outFeatures);
      return (await biasDifference(site, ofBase, data)).map((value, at) => value + (own?.[at] ?? 0));
    }),
  ];
};

const partsOf = (pairs: readonly Pair[], biases: Biases): readonly Part[] =>
  pairs.flatMap((pair) => {
    const { a, b, magnitude, scale, site } = pair;
    return [
      halfOf('A', pair, { entry: a, factor: 1 }),
      halfOf('B', pair, { entry: b, factor: scale }),
      ...(magnitude === undefined
        ? []
        : [vectorOf('factors', pair, (data) => doraFactors(pair, magnitude, data))]),
      ...shiftsPart(pair, biases.get(site.module)),
    ];
  });

/** Of linears that have a bias and nothing else. */
const partsOfBiases = (biases: Biases, pairs: readonly Pair[], sites: readonly Site[]): readonly Part[] => {
  const paired = new Set(pairs.map(({ site }) => site.module));
  return sites.flatMap((site) => {
    const bias = biases.get(site.module);
    if (bias === undefined || paired.has(site.module)) return [];
    return [...zeroPair(site), ...shiftsPart({ site, scale: 1 }, bias)];
  });
};

/** Of IA3: the product of the base is scaled. */
const partsOfScaled = (scaled: Scaled): readonly Part[] => {
  const bias = biasOf(scaled.site);
  return [
    ...zeroPair(scaled.site),
    vectorOf('factors', scaled, (data) => factorsOf(scaled, data)),
    ...(bias === undefined
      ? []
      : [vectorOf('shifts', scaled, (data) => shiftsOf(bias, factorsOf(scaled, data)))]),
  ];
};

/**
 * The tensors of the compiled file for the linears of the base model; nothing of the weights is read yet.
 * @throws AdaptletError of the adapter part of the catalogue
 */
export const partsFor = (
  entries: readonly WeightEntry[],
  config: PeftConfig,
  { target, maxRank }: { readonly target: CompileTarget; readonly maxRank: number },
): readonly Part[] => {
  const wrapper = wrapperOf(entries, target.encoder?.wrappers ?? []);
  const input = { entries, config, sites: wrapped(target.sites, wrapper) };
  if (config.isFeedforward === undefined) {
    const { others, biases } = splitBiases(entries);
    const pairs = unwrapped(pairsOf({ ...input, entries: others, maxRank }), wrapper);
    const own = new Map([...biases].map(([module, entry]) => [module.slice(wrapper.length), entry]));
    // Of the portable way it is not known what is around its linears.
    const shifted = [...own.keys()].map((module) => ({ half: 'shifts' as const, module }));
    refuseWithoutOperator(shifted, target.weights);
    checkBiases(own, target.sites);
    return [...partsOf(pairs, own), ...partsOfBiases(own, pairs, target.sites)];
  }
  const vectors = unwrapped(vectorsOf(input), wrapper);
  refuseWithoutOperator(
    vectors.map(({ site: { module } }) => ({ half: 'factors', module })),
    target.weights,
  );
  return scaledOf(vectors, target.sites).flatMap(partsOfScaled);
};
