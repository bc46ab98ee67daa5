import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { parsedBy } from '../../api/parsed.ts';
import { weightsFile } from '../../artifact/pack.ts';
import { AdaptletError } from '../../errors/adaptlet-error.ts';
import { type FileTensor, safetensorsFile } from '../adapter/conversion/safetensors-file.ts';
import { headerLength, parseHeader, type TensorEntry } from '../adapter/safetensors.ts';
import { type Head, StaticTable, type TableParts } from './static-table.ts';

/** What a folder has beside the numbers; a folder with it is a classifier's. */
export const classifierFile = 'classifier.json';

/** Most bytes of the numbers of an artifact, and of its description. */
const maxWeightBytes = 32 * 1024 * 1024;
const maxDescriptionBytes = 8 * 1024 * 1024;

const descriptionSchema = z.strictObject({
  format: z.literal('adaptlet-classifier'),
  version: z.literal(1),
  kind: z.literal('static'),
  dimensions: z.int().min(1).max(4096),
  tokenizer: z.strictObject({ lowercase: z.boolean(), stripAccents: z.boolean() }),
  vocabulary: z.array(z.string().max(256)).min(1).max(300_000),
  labels: z.array(z.string().min(1).max(63)).min(1).max(1000).optional(),
  /** What it was made of, for people. */
  encoder: z.string().max(256),
});

const refuse = (where: string, what: string, cause?: unknown): AdaptletError =>
  new AdaptletError('ROUTE_CLASSIFIER_INVALID', `${where}: ${what}`, cause === undefined ? {} : { cause });

const readBounded = async (folder: string, name: string, most: number): Promise<Buffer> => {
  const path = join(folder, name);
  const { size } = await stat(path).catch((cause: unknown) => {
    throw refuse(folder, `has no ${name}`, cause);
  });
  if (size > most) throw refuse(folder, `${name} has ${size} bytes, at most ${most} are taken`);
  return await readFile(path);
};

/**
 * Reads the folder of a classifier that `distil` made, and checks it whole.
 * @throws AdaptletError ROUTE_CLASSIFIER_INVALID, and those of safetensors files
 */
export const readClassifier = async (folder: string): Promise<StaticTable> => {
  const description = await readBounded(folder, classifierFile, maxDescriptionBytes);
  const weights = await readBounded(folder, weightsFile, maxWeightBytes);
  return new StaticTable(parseClassifier(description, weights, folder));
};

/**
 * The same, of the bytes of both files. Pure.
 * @param where for messages
 */
export const parseClassifier = (description: Uint8Array, weights: Uint8Array, where: string): TableParts => {
  const { dimensions, vocabulary, tokenizer, labels } = parseDescription(description, where);
  const header = headerLength(weights.subarray(0, 8), weights.length, weightsFile);
  const data = weights.subarray(8 + header);
  const entries = parseHeader(weights.subarray(8, 8 + header), data.length, weightsFile);
  const byName = new Map(entries.map((entry) => [entry.name, entry]));
  const read = (name: string, dtype: string, ...shape: number[]): ArrayBuffer =>
    numbersOf(data, byName.get(name), { name, dtype, shape }, where);
  const floats = (name: string, ...shape: number[]): Float32Array => {
    const values = new Float32Array(read(name, 'F32', ...shape));
    if (values.every((value) => Number.isFinite(value))) return values;
    throw refuse(where, `${name} has a value that is not finite`);
  };
  const head = (of: readonly string[]): Head => ({
    labels: of,
    weights: floats('head.weight', of.length, dimensions),
    bias: floats('head.bias', of.length),
  });
  return {
    dimensions,
    vocabulary,
    normalization: tokenizer,
    rows: new Int8Array(read('rows', 'I8', vocabulary.length, dimensions)),
    scales: floats('scales', vocabulary.length),
    ...(labels === undefined ? {} : { head: head(labels) }),
  };
};

const parseDescription = (bytes: Uint8Array, where: string): z.infer<typeof descriptionSchema> => {
  let json: unknown;
  try {
    json = JSON.parse(Buffer.from(bytes).toString('utf8'));
  } catch (cause) {
    throw refuse(where, `${classifierFile} is not JSON of a classifier`, cause);
  }
  const read = parsedBy(descriptionSchema, json, 'first');
  if (read.success) return read.data;
  const [issue] = read.error.issues;
  throw refuse(where, `${classifierFile}: ${issue?.path.join('.')}: ${issue?.message}`);
};

/** The numbers of a tensor, copied: a file begins them anywhere. */
const numbersOf = (
  data: Uint8Array,
  entry: TensorEntry | undefined,
  { name, dtype, shape }: Pick<TensorEntry, 'name' | 'dtype' | 'shape'>,
  where: string,
): ArrayBuffer => {
  if (entry === undefined) throw refuse(where, `${weightsFile} has no ${name}`);
  if (entry.dtype !== dtype || entry.shape.join() !== shape.join()) {
    const has = `${entry.dtype} [${entry.shape.join(', ')}]`;
    throw refuse(where, `${name} is ${has}, not ${dtype} [${shape.join(', ')}]`);
  }
  return Uint8Array.from(data.subarray(entry.begin, entry.end)).buffer;
};

const tensor = (
  name: string,
  dtype: 'I8' | 'F32',
  shape: readonly number[],
  { buffer, byteOffset, byteLength }: Int8Array | Float32Array,
): FileTensor => ({ name, dtype, shape, data: new Uint8Array(buffer, byteOffset, byteLength) });

/**
 * The files of a classifier's folder. The same parts give the same bytes.
 * @param encoder what it was made of, for people
 */
export const classifierFiles = (
  parts: TableParts,
  encoder: string,
): ReadonlyMap<string, Uint8Array | string> => {
  const { dimensions, vocabulary, normalization, rows, scales, head } = parts;
  const description: z.infer<typeof descriptionSchema> = {
    format: 'adaptlet-classifier',
    version: 1,
    kind: 'static',
    dimensions,
    encoder,
    tokenizer: normalization,
    ...(head === undefined ? {} : { labels: [...head.labels] }),
    vocabulary: [...vocabulary],
  };
  const tensors = [
    tensor('rows', 'I8', [vocabulary.length, dimensions], rows),
    tensor('scales', 'F32', [vocabulary.length], scales),
    ...(head === undefined
      ? []
      : [
          tensor('head.weight', 'F32', [head.labels.length, dimensions], head.weights),
          tensor('head.bias', 'F32', [head.labels.length], head.bias),
        ]),
  ];
  return new Map<string, Uint8Array | string>([
    [classifierFile, `${JSON.stringify(description)}\n`],
    [weightsFile, safetensorsFile(tensors, {})],
  ]);
};
