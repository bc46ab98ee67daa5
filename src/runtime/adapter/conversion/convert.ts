import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { AdaptletError } from '../../../errors/adaptlet-error.ts';
import { errnoOf } from '../../../errors/errno.ts';
import { quoteUntrusted } from '../../../errors/quote-untrusted.ts';
import { readStructure } from '../check-folder.ts';
import { refuseExisting, writeFolder } from '../new-folder.ts';
import { tensorsOfPair } from '../pairs.ts';
import type { PeftConfig } from '../peft-config.ts';
import { configFile, openPeftFolder, weightsFile } from '../peft-folder.ts';
import type { WeightEntry } from '../scales.ts';
import { floatsOf } from '../weights.ts';
import { Deviation, type StatedError } from './deviation.ts';
import { encode, type Precision, schemes } from './precision.ts';
import { type FileTensor, safetensorsFile } from './safetensors-file.ts';

export type ConversionInput = {
  /** PEFT folder. */
  readonly folder: string;
  /** Must not exist; its parent must. */
  readonly outFolder: string;
  readonly to: Precision;
  readonly maxRank: number;
};

/** What became of an adapter. Bytes are those of adapter_model.safetensors. */
export type Conversion = {
  readonly to: Precision;
  readonly bytesBefore: number;
  readonly bytesAfter: number;
  readonly error: StatedError;
};

/** What a node reads of a folder besides the weights; the last two are there for classifiers. */
const companions = [configFile, 'labels.json', 'config.json'];

const refuseConverted = (entries: readonly WeightEntry[]): void => {
  const converted = entries.find(({ scales }) => scales !== undefined);
  if (converted === undefined) return;
  throw new AdaptletError(
    'ADAPTER_CONVERTED',
    `${weightsFile}: tensor ${quoteUntrusted(converted.name)} is int8`,
  );
};

/** Its file would have the tensors of LoRA beside a configuration that says another method. */
const refuseOtherMethod = (folder: string, { kind, isFeedforward }: PeftConfig): void => {
  if (isFeedforward !== undefined) {
    throw new AdaptletError('ADAPTER_PEFT_TYPE', `${folder} is of IA3, which has no matrices`, {
      advice: 'Publish it as it is: it is small.',
    });
  }
  if (kind === undefined) return;
  throw new AdaptletError('ADAPTER_PEFT_TYPE', `${folder} is not of LoRA`, {
    advice: 'Make plain LoRA of it first: `adaptlet compose FOLDER -o OUT`.',
  });
};

type Parts = {
  readonly matrices: readonly { readonly entry: WeightEntry; readonly scale: number }[];
  /** Kept as they are: magnitudes, biases and heads are small. */
  readonly kept: readonly WeightEntry[];
  readonly data: ArrayBuffer;
};

/** Reads an adapter as a node would, with its own tensors in place of a base model. */
const readParts = async ({ folder, maxRank }: ConversionInput): Promise<Parts> => {
  await using peft = await openPeftFolder(folder, 'any');
  refuseOtherMethod(folder, peft.config);
  refuseConverted(peft.entries);
  const { pairs, vectors, head } = await readStructure(folder, peft, maxRank);
  const tensors = pairs.flatMap(tensorsOfPair);
  return {
    matrices: tensors.flatMap(({ entry, factor, matrix }) => (matrix ? [{ entry, scale: factor }] : [])),
    kept: [...tensors.flatMap(({ entry, matrix }) => (matrix ? [] : [entry])), ...vectors, ...head],
    data: await peft.readData(),
  };
};

/** Also what was converted must be within float32 once it is scaled. */
const checkScaled = (name: string, values: Float32Array, scale: number): void => {
  const at = values.findIndex((value) => !Number.isFinite(Math.fround(value * scale)));
  if (at < 0) return;
  const what = `tensor ${quoteUntrusted(name)} has ${values[at]} at element ${at} once converted (scaled by ${scale})`;
  throw new AdaptletError('ADAPTER_NOT_FINITE', what);
};

const convertTensors = ({ matrices, kept, data }: Parts, to: Precision) => {
  const tensors: FileTensor[] = [];
  const deviation = new Deviation();
  for (const { entry, scale } of matrices) {
    const { name, shape } = entry;
    const [rows = 0, columns = 0] = shape;
    floatsOf(entry, data, scale);
    const values = floatsOf(entry, data, 1);
    const encoded = encode({ name, shape: [rows, columns], values }, to);
    checkScaled(name, encoded.values, scale);
    deviation.add(name, values, encoded.values);
    tensors.push(...encoded.tensors);
  }
  for (const entry of kept) {
    floatsOf(entry, data, 1);
    const { name, dtype, shape, begin, end } = entry;
    tensors.push({ name, dtype, shape, data: new Uint8Array(data, begin, end - begin) });
  }
  return { tensors, error: deviation.stated };
};

const metadataOf = (to: Precision, error: StatedError): Readonly<Record<string, string>> => ({
  // Transformers refuses a file that does not say it.
  format: 'pt',
  adaptlet_precision: to,
  adaptlet_scheme: schemes[to],
  adaptlet_error: JSON.stringify(error),
});

/** Those that are there. Read, not copied: a folder of the store is read-only, what is made here is not. */
const readCompanions = async (folder: string): Promise<Map<string, Uint8Array>> => {
  const found = new Map<string, Uint8Array>();
  for (const name of companions) {
    try {
      found.set(name, await readFile(join(folder, name)));
    } catch (error) {
      if (errnoOf(error) !== 'ENOENT') throw error;
    }
  }
  return found;
};

/**
 * Writes a PEFT folder again with its matrices in another precision, and states the error.
 * @throws CONVERT_TARGET_EXISTS, ADAPTER_CONVERTED, ADAPTER_FLOAT16_RANGE, and whatever a node refuses that can be
 * told without the base model; file system errors as they are
 */
export const convertAdapter = async (input: ConversionInput): Promise<Conversion> => {
  const { folder, outFolder, to } = input;
  await refuseExisting(outFolder);
  const { tensors, error } = convertTensors(await readParts(input), to);
  const file = safetensorsFile(tensors, metadataOf(to, error));
  const { size: bytesBefore } = await stat(join(folder, weightsFile));
  await writeFolder(outFolder, (await readCompanions(folder)).set(weightsFile, file));
  return { to, bytesBefore, bytesAfter: file.length, error };
};
