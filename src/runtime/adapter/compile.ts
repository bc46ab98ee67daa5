import { type FileHandle, open, readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Digest } from '../../api/names.ts';
import { writeDurable } from '../../disk/durable.ts';
import { AdaptletError } from '../../errors/adaptlet-error.ts';
import { errnoOf, isDiskFull } from '../../errors/errno.ts';
import type { EngineInfo } from '../engine/engine.ts';
import type { CompiledAdapter } from '../residency/ports.ts';
import { type HeadTensors, splitHead } from './classifier.ts';
import type { CompiledHeader } from './compiled-file.ts';
import { layOut, seal } from './compiled-layout.ts';
import { readLabels } from './labels.ts';
import { type Pair, pairsOf } from './pairs.ts';
import { maxConfigBytes, type PeftConfig, parsePeftConfig } from './peft-config.ts';
import { headerLength, parseHeader, type TensorEntry } from './safetensors.ts';
import type { AdapterBase } from './peft-fields.ts';
import { writeFloat32 } from './weights.ts';
import { unwrapped, wrapped, wrapperOf } from './wrapped-sites.ts';

export type CompileInput = {
  /** PEFT folder: adapter_config.json and adapter_model.safetensors. */
  readonly folder: string;
  readonly digest: Digest;
  readonly info: Pick<EngineInfo, 'sites' | 'baseDigest' | 'engineVersion' | 'encoder'>;
  readonly outFile: string;
  readonly maxRank: number;
};

const configFile = 'adapter_config.json';
const weightsFile = 'adapter_model.safetensors';
const pickleFile = /^adapter_model\.(bin|pt|pth|pkl|ckpt)$/;

const isMissing = (error: unknown): boolean => ['ENOENT', 'ENOTDIR'].includes(errnoOf(error) ?? '');

const readConfig = async (folder: string, base: AdapterBase): Promise<PeftConfig> => {
  const path = join(folder, configFile);
  try {
    const { size } = await stat(path);
    if (size > maxConfigBytes) {
      throw new AdaptletError(
        'ADAPTER_CONFIG_INVALID',
        `${configFile} has ${size} bytes, the limit is ${maxConfigBytes}`,
      );
    }
    return parsePeftConfig(await readFile(path, 'utf8'), base);
  } catch (error) {
    if (!isMissing(error)) throw error;
    throw new AdaptletError('ADAPTER_CONFIG_INVALID', `${configFile} is missing in ${folder}`, {
      cause: error,
    });
  }
};

const refusePickle = async (folder: string): Promise<void> => {
  const found = (await readdir(folder).catch((): string[] => [])).find((name) => pickleFile.test(name));
  if (found !== undefined) throw new AdaptletError('ADAPTER_PICKLE', `${folder} has ${found}`);
};

/** Reads exactly `length` bytes, or as many as there are. */
const readAt = async (
  file: FileHandle,
  length: number,
  position: number,
): Promise<Uint8Array<ArrayBuffer>> => {
  const bytes = new Uint8Array(length);
  let done = 0;
  while (done < length) {
    const { bytesRead } = await file.read(bytes, done, length - done, position + done);
    if (bytesRead === 0) return bytes.subarray(0, done);
    done += bytesRead;
  }
  return bytes;
};

type Weights = {
  readonly entries: readonly TensorEntry[];
  readonly dataStart: number;
  readonly dataBytes: number;
};

const readEntries = async (file: FileHandle): Promise<Weights> => {
  const { size } = await file.stat();
  const length = headerLength(await readAt(file, 8, 0), size, weightsFile);
  const dataStart = 8 + length;
  const dataBytes = size - dataStart;
  return {
    entries: parseHeader(await readAt(file, length, 8), dataBytes, weightsFile),
    dataStart,
    dataBytes,
  };
};

const openWeights = async (folder: string): Promise<FileHandle> => {
  try {
    return await open(join(folder, weightsFile), 'r');
  } catch (error) {
    if (!isMissing(error)) throw error;
    throw new AdaptletError('ADAPTER_FILE_MISSING', `${weightsFile} is missing in ${folder}`, {
      cause: error,
    });
  }
};

const convert = (
  pairs: readonly Pair[],
  data: ArrayBuffer,
  file: Buffer<ArrayBuffer>,
  offsets: readonly number[],
): void => {
  const target = (entry: TensorEntry, index: number): Float32Array =>
    new Float32Array(
      file.buffer,
      file.byteOffset + (offsets[index] ?? 0),
      (entry.shape[0] ?? 0) * (entry.shape[1] ?? 0),
    );
  for (const [index, { a, b, scale }] of pairs.entries()) {
    writeFloat32(a, data, 1, target(a, 2 * index));
    writeFloat32(b, data, scale, target(b, 2 * index + 1));
  }
};

const convertHead = (
  { weight, bias }: HeadTensors,
  { head }: CompiledHeader,
  data: ArrayBuffer,
  file: Buffer<ArrayBuffer>,
): void => {
  if (head === undefined) return;
  for (const [entry, { offset, length }] of [[weight, head.weight] as const, [bias, head.bias] as const]) {
    const target = new Float32Array(file.buffer, file.byteOffset + offset, length / Float32Array.BYTES_PER_ELEMENT);
    writeFloat32(entry, data, 1, target);
  }
};

/** What residency has to know of a compiled file. */
export const compiledFrom = (
  file: string,
  { rank, targetModules, fileBytes, head }: CompiledHeader,
): CompiledAdapter => {
  const compiled = { file, bytes: fileBytes, rank, targetModules };
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
 * Reads a PEFT folder, checks everything about it, and writes the compiled file: float32, B times its scaling.
 * Structure and shapes are checked before the weights are read, so that memory is bounded by what fits the base.
 *
 * A kill at any time leaves the old file or the new one under `outFile`, and perhaps a `*.tmp` beside it.
 * @throws AdaptletError of the adapter part of the catalogue, STORE_FULL; other file system errors as they are
 */
export const compileAdapter = async (input: CompileInput): Promise<CompiledAdapter> => {
  const { folder, digest, info, outFile, maxRank } = input;
  await refusePickle(folder);
  const config = await readConfig(folder, info.encoder === undefined ? 'generate' : 'embed');
  await using weights = await openWeights(folder);
  const { entries, dataStart, dataBytes } = await readEntries(weights);
  const { lora, head } = splitHead(entries, config, info.encoder);
  const wrapper = wrapperOf(lora, info.encoder?.wrappers ?? []);
  const sites = wrapped(info.sites, wrapper);
  const pairs = unwrapped(pairsOf({ entries: lora, config, sites, maxRank }), wrapper);
  const labels = head === undefined ? undefined : await readLabels(folder, head.labels);
  const identity = { adapterDigest: digest, baseDigest: info.baseDigest, engineVersion: info.engineVersion };
  const layout = layOut(identity, pairs, labels === undefined || head === undefined ? undefined : { ...labels, features: head.features });
  const data = await readAt(weights, dataBytes, dataStart);
  if (data.length !== dataBytes) {
    throw new AdaptletError('ADAPTER_FILE_TRUNCATED', `${weightsFile} became shorter while it was read`);
  }
  const file = Buffer.from(new ArrayBuffer(layout.header.fileBytes));
  convert(
    pairs,
    data.buffer,
    file,
    layout.header.tensors.map((tensor) => tensor.offset),
  );
  if (head !== undefined) convertHead(head, layout.header, data.buffer, file);
  const header = seal(layout, file);
  await write(outFile, file);
  return compiledFrom(outFile, header);
};
