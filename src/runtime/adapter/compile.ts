import type { Digest } from '../../api/names.ts';
import { writeDurable } from '../../disk/durable.ts';
import { AdaptletError } from '../../errors/adaptlet-error.ts';
import { isDiskFull } from '../../errors/errno.ts';
import type { CompileTarget } from '../compiled/compile-target.ts';
import { type CompiledAdapter, compiledFrom } from '../compiled/compiled-adapter.ts';
import type { CompiledHeader } from '../compiled/compiled-file.ts';
import { layOut, seal, type Unplaced } from '../compiled/file-layout.ts';
import { type HeadTensors, splitHead } from './classifier.ts';
import { readLabels } from './labels.ts';
import { type Pair, pairsOf } from './pairs.ts';
import { openPeftFolder } from './peft-folder.ts';
import type { WeightEntry } from './scales.ts';
import { storedTypeOf, storeTensor } from './weights.ts';
import { unwrapped, wrapped, wrapperOf } from './wrapped-sites.ts';

export type CompileInput = {
  /** PEFT folder: adapter_config.json and adapter_model.safetensors. */
  readonly folder: string;
  readonly digest: Digest;
  readonly target: CompileTarget;
  readonly outFile: string;
  readonly maxRank: number;
};

/** Half of a pair: what the compiled file says of it, and what is to be multiplied by `factor`. */
type Half = { readonly tensor: Unplaced; readonly entry: WeightEntry; readonly factor: number };

const halvesOf = (pairs: readonly Pair[]): readonly Half[] =>
  pairs.flatMap(({ site, rank, a, b, scale: ofB }) => {
    const { module, inFeatures, outFeatures } = site;
    const half = (name: 'A' | 'B', features: number, entry: WeightEntry, factor: number): Half => {
      const dtype = storedTypeOf(entry);
      // Float32 is stored as it is computed with: such a file is read to where it stays.
      const scale = dtype === 'float32' ? 1 : factor;
      return { tensor: { module, half: name, shape: [rank, features], dtype, scale }, entry, factor };
    };
    return [half('A', inFeatures, a, 1), half('B', outFeatures, b, ofB)];
  });

const storeHalves = (
  halves: readonly Half[],
  { tensors }: CompiledHeader,
  data: ArrayBuffer,
  file: Buffer<ArrayBuffer>,
): void => {
  for (const [index, tensor] of tensors.entries()) {
    const half = halves[index];
    if (half !== undefined) storeTensor(half.entry, data, half.factor, tensor, file);
  }
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
 * Reads a PEFT folder, checks everything about it, and writes the compiled file: each tensor as the artifact has it, with
 * the factor of B beside it.
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
  const halves = halvesOf(unwrapped(pairsOf({ entries: lora, config, sites, maxRank }), wrapper));
  const labels = head === undefined ? undefined : await readLabels(folder, head.labels);
  const identity = {
    adapterDigest: digest,
    baseDigest: target.baseDigest,
    engineVersion: target.engineVersion,
  };
  const layout = layOut(
    identity,
    halves.map(({ tensor }) => tensor),
    labels === undefined || head === undefined ? undefined : { ...labels, features: head.features },
  );
  const data = await peft.readData();
  const file = Buffer.from(new ArrayBuffer(layout.header.fileBytes));
  storeHalves(halves, layout.header, data, file);
  if (head !== undefined) storeHead(head, layout.header, data, file);
  const header = seal(layout, file);
  await write(outFile, file);
  return compiledFrom(outFile, header, target.weights);
};
