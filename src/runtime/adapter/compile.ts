import type { Digest } from '../../api/names.ts';
import { writeDurable } from '../../disk/durable.ts';
import { AdaptletError } from '../../errors/adaptlet-error.ts';
import { isDiskFull } from '../../errors/errno.ts';
import type { EngineInfo } from '../engine/engine.ts';
import type { CompiledAdapter } from '../residency/ports.ts';
import { type HeadTensors, splitHead } from './classifier.ts';
import type { CompiledHeader } from '../compiled/compiled-file.ts';
import { layOut, seal } from '../compiled/file-layout.ts';
import { readLabels } from './labels.ts';
import { type Pair, pairsOf } from './pairs.ts';
import { openPeftFolder } from './peft-folder.ts';
import { storeTensor } from './weights.ts';
import { unwrapped, wrapped, wrapperOf } from './wrapped-sites.ts';

export type CompileInput = {
  /** PEFT folder: adapter_config.json and adapter_model.safetensors. */
  readonly folder: string;
  readonly digest: Digest;
  readonly info: Pick<EngineInfo, 'sites' | 'baseDigest' | 'engineVersion' | 'encoder'>;
  readonly outFile: string;
  readonly maxRank: number;
};

const storePairs = (
  pairs: readonly Pair[],
  { tensors }: CompiledHeader,
  data: ArrayBuffer,
  file: Buffer<ArrayBuffer>,
): void => {
  const halves = pairs.flatMap(({ a, b, scale }) => [
    { entry: a, factor: 1 },
    { entry: b, factor: scale },
  ]);
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

/** What residency has to know of a compiled file. */
export const compiledFrom = (
  file: string,
  { rank, targetModules, fileBytes, ramBytes, head }: CompiledHeader,
): CompiledAdapter => {
  const compiled = { file, bytes: fileBytes, ramBytes, rank, targetModules };
  return head === undefined ? compiled : { ...compiled, labels: head.labels };
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
  const { folder, digest, info, outFile, maxRank } = input;
  await using peft = await openPeftFolder(folder, info.encoder === undefined ? 'generate' : 'embed');
  const { config } = peft;
  const { lora, head } = splitHead(peft.entries, config, info.encoder);
  const wrapper = wrapperOf(lora, info.encoder?.wrappers ?? []);
  const sites = wrapped(info.sites, wrapper);
  const pairs = unwrapped(pairsOf({ entries: lora, config, sites, maxRank }), wrapper);
  const labels = head === undefined ? undefined : await readLabels(folder, head.labels);
  const identity = { adapterDigest: digest, baseDigest: info.baseDigest, engineVersion: info.engineVersion };
  const layout = layOut(
    identity,
    pairs,
    labels === undefined || head === undefined ? undefined : { ...labels, features: head.features },
  );
  const data = await peft.readData();
  const file = Buffer.from(new ArrayBuffer(layout.header.fileBytes));
  storePairs(pairs, layout.header, data, file);
  if (head !== undefined) storeHead(head, layout.header, data, file);
  const header = seal(layout, file);
  await write(outFile, file);
  return compiledFrom(outFile, header);
};
