import type { Digest } from '../../api/names.ts';
import { writeDurable } from '../../disk/durable.ts';
import { AdaptletError } from '../../errors/adaptlet-error.ts';
import { isDiskFull } from '../../errors/errno.ts';
import type { CompileTarget } from '../compiled/compile-target.ts';
import { type CompiledAdapter, compiledFrom, refuseWithoutOperator } from '../compiled/compiled-adapter.ts';
import type { CompiledHeader } from '../compiled/compiled-file.ts';
import { layOut, seal } from '../compiled/file-layout.ts';
import { type HeadTensors, splitHead } from './classifier.ts';
import { readLabels } from './labels.ts';
import { type Part, partsFor } from './parts.ts';
import { openPeftFolder } from './peft-folder.ts';
import { storeTensor } from './weights.ts';

export type CompileInput = {
  /** PEFT folder: adapter_config.json and adapter_model.safetensors. */
  readonly folder: string;
  readonly digest: Digest;
  readonly target: CompileTarget;
  readonly outFile: string;
  readonly maxRank: number;
};

const storeParts = async (
  parts: readonly Part[],
  { tensors }: CompiledHeader,
  data: ArrayBuffer,
  file: Buffer<ArrayBuffer>,
  alive: () => void,
): Promise<void> => {
  for (const [index, tensor] of tensors.entries()) {
    await parts[index]?.store(data, tensor, file);
    alive();
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

/** Bytes that a compiled file would have. */
export type NeededRoom = { readonly neededBytes: number };

/**
 * Reads a PEFT folder, checks everything about it, and writes the compiled file: each matrix as the artifact has it, with
 * the factor of B beside it, and of DoRA the factors that follow from the weights of the base.
 * Structure and shapes are checked before the weights are read, so that memory is bounded by what fits the base. A file larger than
 * `roomBytes` is not made: the pairs of some methods take many times the bytes of the artifact.
 *
 * `alive` is called for each tensor that was stored.
 * A kill at any time leaves the old file or the new one under `outFile`, and perhaps a `*.tmp` beside it.
 * @throws AdaptletError of the adapter part of the catalogue, STORE_FULL; other file system errors as they are
 */
export const compileWithin = async (
  input: CompileInput,
  roomBytes: number,
  alive: () => void = () => undefined,
): Promise<CompiledAdapter | NeededRoom> => {
  const { folder, digest, target, outFile, maxRank } = input;
  await using peft = await openPeftFolder(folder, target.encoder === undefined ? 'generate' : 'embed');
  const { config } = peft;
  const { lora, head } = splitHead(peft.entries, config, target.encoder);
  const parts = partsFor(lora, config, { target, maxRank });
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
  const neededBytes = layout.header.fileBytes;
  if (neededBytes > roomBytes) return { neededBytes };
  const data = await peft.readData();
  const file = Buffer.from(new ArrayBuffer(neededBytes));
  await storeParts(parts, layout.header, data, file, alive);
  if (head !== undefined) storeHead(head, layout.header, data, file);
  const header = seal(layout, file);
  await write(outFile, file);
  return compiledFrom(outFile, header, target.weights);
};

/**
 * The same, of any size.
 * @throws AdaptletError of the adapter part of the catalogue, STORE_FULL; other file system errors as they are
 */
export const compileAdapter = async (input: CompileInput): Promise<CompiledAdapter> => {
  const made = await compileWithin(input, Infinity);
  if ('file' in made) return made;
  throw new AdaptletError('INTERNAL', `compiling to ${input.outFile} asked for ${made.neededBytes} bytes`);
};
