import { type FileHandle, open, readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { AdaptletError } from '../../errors/adaptlet-error.ts';
import { errnoOf } from '../../errors/errno.ts';
import { asLora } from './kinds/as-lora.ts';
import { maxConfigBytes, type PeftConfig, parsePeftConfig } from './peft-config.ts';
import type { AdapterBase, Initial } from './peft-fields.ts';
import { headerLength, parseHeader, type TensorEntry } from './safetensors.ts';
import { joinScales, type WeightEntry } from './scales.ts';

export const configFile = 'adapter_config.json';
export const weightsFile = 'adapter_model.safetensors';
const pickleFile = /^adapter_model\.(bin|pt|pth|pkl|ckpt)$/;

const isMissing = (error: unknown): boolean => ['ENOENT', 'ENOTDIR'].includes(errnoOf(error) ?? '');

const readConfig = async (folder: string, base: AdapterBase, initial: Initial): Promise<PeftConfig> => {
  const path = join(folder, configFile);
  try {
    const { size } = await stat(path);
    if (size > maxConfigBytes) {
      throw new AdaptletError(
        'ADAPTER_CONFIG_INVALID',
        `${configFile} has ${size} bytes, the limit is ${maxConfigBytes}`,
      );
    }
    return parsePeftConfig(await readFile(path, 'utf8'), base, initial);
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

/** A PEFT folder whose structure was read, as that of a LoRA adapter: nothing of its weights yet. */
export type PeftFolder = AsyncDisposable & {
  readonly config: PeftConfig;
  /** In the order of their bytes, int8 ones with their scales. */
  readonly entries: readonly WeightEntry[];
  /**
   * The data section of the weights, which the offsets of the entries are in.
   * @throws ADAPTER_FILE_TRUNCATED, and those of kinds/as-lora.ts
   */
  readonly readData: () => Promise<ArrayBuffer>;
};

/**
 * Opens a PEFT folder and checks everything about it that needs neither the base model nor the weights.
 * @throws those of the adapter part; other file system errors as they are
 */
export const openPeftFolder = async (
  folder: string,
  base: AdapterBase,
  initial: Initial = 'must be plain',
): Promise<PeftFolder> => {
  await refusePickle(folder);
  const written = await readConfig(folder, base, initial);
  const file = await openWeights(folder);
  try {
    const { entries: inFile, dataStart, dataBytes } = await readEntries(file);
    const { config, entries, dataOf } = asLora(written, joinScales(inFile));
    return {
      config,
      entries,
      readData: async () => {
        const data = await readAt(file, dataBytes, dataStart);
        if (data.length === dataBytes) return dataOf(data.buffer);
        const what = `${weightsFile} became shorter while it was read`;
        throw new AdaptletError('ADAPTER_FILE_TRUNCATED', what);
      },
      [Symbol.asyncDispose]: () => file.close(),
    };
  } catch (error) {
    await file.close();
    throw error;
  }
};
