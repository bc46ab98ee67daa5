import type { Digest } from '../../api/names.ts';
import { writeDurable } from '../../disk/durable.ts';
import { AdaptletError } from '../../errors/adaptlet-error.ts';
import { isDiskFull } from '../../errors/errno.ts';
import type { CompileTarget } from '../compiled/compile-target.ts';
import { type CompiledAdapter, compiledFrom, refuseWithoutOperator } from '../compiled/compiled-adapter.ts';
import type { CompiledHeader, CompiledTensor } from '../compiled/compiled-file.ts';
import { layOut, seal, type Unplaced } from '../compiled/file-layout.ts';
import { type HeadTensors, splitHead } from './classifier.ts';
import { doraFactors } from './dora.ts';
import { readLabels } from './labels.ts';
import { type Pair, pairsOf } from './pairs.ts';
import { openPeftFolder } from './peft-folder.ts';
import type { WeightEntry } from './scales.ts';
import { floatsOf, storedTypeOf, storeTensor } from './weights.ts';
import { unwrapped, wrapped, wrapperOf } from './wrapped-sites.ts';

export type CompileInput = {
  /** PEFT folder: adapter_config.json and adapter_model.safetensors. */
  readonly folder: string;
  readonly digest: Digest;
  readonly target: CompileTarget;
  readonly outFile: string;
  readonly maxRank: number;
};

/** A tensor of the compiled file: what it says of it, and what writes its values there, given the data of the artifact. */
type Part = {
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
  { site }: Pair,
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

const partsOf = (pairs: readonly Pair[]): readonly Part[] =>
  pairs.flatMap((pair) => {
    const { a, b, magnitude, bias, scale } = pair;
    return [
      halfOf('A', pair, { entry: a, factor: 1 }),
      halfOf('B', pair, { entry: b, factor: scale }),
      ...(magnitude === undefined
        ? []
        : [vectorOf('factors', pair, (data) => doraFactors(pair, magnitude, data))]),
      ...(bias === undefined ? [] : [vectorOf('shifts', pair, (data) => floatsOf(bias, data, scale))]),
    ];
  });

const storeParts = async (
  parts: readonly Part[],
  { tensors }: CompiledHeader,
  data: ArrayBuffer,
  file: Buffer<ArrayBuffer>,
): Promise<void> => {
  for (const [index, tensor] of tensors.entries()) await parts[index]?.store(data, tensor, file);
};

const storeHead = (
  { weight, bias }: HeadTensors,
  { head }: CompiledHeader,
  data: ArrayBuffer,
  file: Buffer<ArrayBuffer>,
): void => {
  if (head === undefined) return;
  storeTensor(weight, data, 1, { dtype: 'float32', ...head.weight }, file);
  storeTensor(bias, data, 1, { dtype: 'float32', ...head.bias }, file);
};

const write = async (outFile: string, content: Uint8Array): Promise<void> => {
  try {
    await writeDurable(outFile, content);
  } catch (error) {
    if (!isDiskFull(error)) throw error;
    throw new AdaptletError('STORE_FULL', `compiling to ${outFile}: the disk is full`, { cause: error });
  }
};

/**
 * Reads a PEFT folder, checks everything about it, and writes the compiled file: each matrix as the artifact has it, with
 * the factor of B beside it, and of DoRA the factors that follow from the weights of the base.
 * Structure and shapes are checked before the weights are read, so that memory is bounded by what fits the base.
 *
 * A kill at any time leaves the old file or the new one under `outFile`, and perhaps a `*.tmp` beside it.
 * @throws AdaptletError of the adapter part of the catalogue, STORE_FULL; other file system errors as they are
 */
export const compileAdapter = async (input: CompileInput): Promise<CompiledAdapter> => {
  const { folder, digest, target, outFile, maxRank } = input;
  await using peft = await openPeftFolder(folder, target.encoder === undefined ? 'generate' : 'embed');
  const { config } = peft;
  const { lora, head } = splitHead(peft.entries, config, target.encoder);
  const wrapper = wrapperOf(lora, target.encoder?.wrappers ?? []);
  const sites = wrapped(target.sites, wrapper);
  const parts = partsOf(unwrapped(pairsOf({ entries: lora, config, sites, maxRank }), wrapper));
  const tensors = parts.map(({ tensor }) => tensor);
  refuseWithoutOperator(tensors, target.weights);
  const labels = head === undefined ? undefined : await readLabels(folder, head.labels);
  const identity = {
    adapterDigest: digest,
    baseDigest: target.baseDigest,
    engineVersion: target.engineVersion,
  };
  const layout = layOut(
    identity,
    tensors,
    labels === undefined || head === undefined ? undefined : { ...labels, features: head.features },
  );
  const data = await peft.readData();
  const file = Buffer.from(new ArrayBuffer(layout.header.fileBytes));
  await storeParts(parts, layout.header, data, file);
  if (head !== undefined) storeHead(head, layout.header, data, file);
  const header = seal(layout, file);
  await write(outFile, file);
  return compiledFrom(outFile, header, target.weights);
};
