import { AdaptletError } from '../../errors/adaptlet-error.ts';
import type { ErrorCode } from '../../errors/catalogue.ts';
import { quoteUntrusted } from '../../errors/quote-untrusted.ts';
import { duplicateKey, nestsTooDeep } from './json-keys.ts';

/** Bytes of one element, for each dtype of the format. */
const elementBytes: Readonly<Record<string, number>> = {
  BOOL: 1,
  U8: 1,
  I8: 1,
  F8_E4M3: 1,
  F8_E5M2: 1,
  U16: 2,
  I16: 2,
  F16: 2,
  BF16: 2,
  U32: 4,
  I32: 4,
  F32: 4,
  U64: 8,
  I64: 8,
  F64: 8,
};

/** One tensor of a file. `begin` and `end` are bytes from the start of the data section. */
export type TensorEntry = {
  readonly name: string;
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly begin: number;
  readonly end: number;
};

/** A header longer than this is refused before it is read: 16 MiB describe 100,000 tensors. */
export const maxHeaderBytes = 16 * 1024 * 1024;
const prefixBytes = 8;

const refuse = (code: ErrorCode, file: string, what: string, cause?: unknown): AdaptletError =>
  new AdaptletError(code, `${file}: ${what}`, cause === undefined ? {} : { cause });

/**
 * Length of the JSON header, from the first 8 bytes of a file (little-endian u64).
 * @throws AdaptletError ADAPTER_FILE_TRUNCATED, ADAPTER_HEADER_TOO_LARGE
 */
export const headerLength = (prefix: Uint8Array, fileBytes: number, file: string): number => {
  if (prefix.length < prefixBytes || fileBytes < prefixBytes) {
    throw refuse(
      'ADAPTER_FILE_TRUNCATED',
      file,
      `has ${fileBytes} bytes, less than the prefix of the format`,
    );
  }
  const length = new DataView(prefix.buffer, prefix.byteOffset, prefixBytes).getBigUint64(0, true);
  if (length > BigInt(maxHeaderBytes)) {
    throw refuse(
      'ADAPTER_HEADER_TOO_LARGE',
      file,
      `says that its header has ${length} bytes, the limit is ${maxHeaderBytes}`,
    );
  }
  if (prefixBytes + Number(length) > fileBytes) {
    throw refuse(
      'ADAPTER_FILE_TRUNCATED',
      file,
      `has ${fileBytes} bytes, its header alone needs ${length} and 8`,
    );
  }
  return Number(length);
};

const isSize = (value: unknown): value is number =>
  typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;

const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const parseJson = (header: Uint8Array, file: string): Readonly<Record<string, unknown>> => {
  let text: string;
  let value: unknown;
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(header);
    value = nestsTooDeep(text) ? undefined : JSON.parse(text);
  } catch (error) {
    throw refuse('ADAPTER_HEADER_INVALID', file, 'the header is not JSON in UTF-8', error);
  }
  if (!text.startsWith('{') || !isRecord(value)) {
    throw refuse('ADAPTER_HEADER_INVALID', file, 'the header is not a JSON object');
  }
  const twice = duplicateKey(text);
  if (twice !== undefined) {
    throw refuse('ADAPTER_HEADER_INVALID', file, `the header has the key ${quoteUntrusted(twice)} twice`);
  }
  return value;
};

const entryOf = (name: string, value: unknown, file: string): TensorEntry => {
  const invalid = (what: string): AdaptletError =>
    refuse('ADAPTER_HEADER_INVALID', file, `tensor ${quoteUntrusted(name)} ${what}`);
  if (!isRecord(value)) throw invalid('is not an object');
  const { dtype, shape, data_offsets: offsets, ...rest } = value;
  const surplus = Object.keys(rest)[0];
  if (surplus !== undefined) throw invalid(`has the unknown field ${quoteUntrusted(surplus)}`);
  if (typeof dtype !== 'string' || !Object.hasOwn(elementBytes, dtype)) throw invalid('has no known dtype');
  if (!Array.isArray(shape) || shape.length > 8 || !shape.every(isSize)) throw invalid('has no valid shape');
  if (!Array.isArray(offsets) || offsets.length !== 2) throw invalid('has no valid data_offsets');
  const [begin, end]: readonly unknown[] = offsets;
  if (!isSize(begin) || !isSize(end)) throw invalid('has no valid data_offsets');
  const size = elementBytes[dtype] ?? 0;
  const bytes = shape.reduce((product, dimension) => product * dimension, size);
  const wrong = (what: string): AdaptletError =>
    refuse('ADAPTER_OFFSETS_INVALID', file, `tensor ${quoteUntrusted(name)} ${what}`);
  if (end < begin) throw wrong('ends before it begins');
  if (end - begin !== bytes) {
    throw wrong(`takes ${end - begin} bytes, ${dtype} [${shape.join(', ')}] needs ${bytes}`);
  }
  if (begin % size !== 0) throw wrong(`begins at ${begin}, not a multiple of ${size} bytes`);
  return { name, dtype, shape, begin, end };
};

/** Tensors lie end to end, in any order, and fill the data section: nothing overlaps and nothing is hidden between. */
const checkTiling = (entries: readonly TensorEntry[], dataBytes: number, file: string): void => {
  let at = 0;
  for (const entry of entries) {
    if (entry.begin !== at) {
      const how = entry.begin < at ? 'overlaps the one before' : `leaves a hole of ${entry.begin - at} bytes`;
      throw refuse('ADAPTER_OFFSETS_INVALID', file, `tensor ${quoteUntrusted(entry.name)} ${how}`);
    }
    at = entry.end;
  }
  if (at > dataBytes) {
    throw refuse('ADAPTER_FILE_TRUNCATED', file, `has ${dataBytes} bytes of data, its tensors need ${at}`);
  }
  if (at < dataBytes) {
    throw refuse(
      'ADAPTER_FILE_OVERSIZED',
      file,
      `has ${dataBytes} bytes of data, its tensors need only ${at}`,
    );
  }
};

/**
 * Reads the header of a safetensors file and checks every statement of it against the length of the file, so that
 * what it returns can be read without further checks. `dataBytes` is what follows the header in the file.
 * Format: https://github.com/huggingface/safetensors#format
 *
 * @returns the tensors in the order of their bytes
 * @throws AdaptletError ADAPTER_HEADER_INVALID, ADAPTER_OFFSETS_INVALID, ADAPTER_FILE_TRUNCATED, ADAPTER_FILE_OVERSIZED
 */
export const parseHeader = (header: Uint8Array, dataBytes: number, file: string): readonly TensorEntry[] => {
  const { __metadata__: metadata, ...tensors } = parseJson(header, file);
  if (metadata !== undefined) {
    if (!isRecord(metadata) || !Object.values(metadata).every((v) => typeof v === 'string')) {
      throw refuse('ADAPTER_HEADER_INVALID', file, '__metadata__ is not a map of strings');
    }
  }
  const entries = Object.entries(tensors)
    .map(([name, value]) => entryOf(name, value, file))
    .sort((a, b) => a.begin - b.begin || a.end - b.end);
  checkTiling(entries, dataBytes, file);
  return entries;
};
