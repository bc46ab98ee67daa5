import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs';

/** What the header of a safetensors file says. */
export type WeightFacts = {
  /** Numbers in all tensors; 0 of a header that cannot be read, which the compiler refuses. */
  readonly parameters: number;
  /** What most of them are stored as; absent where there are none. */
  readonly precision?: string;
};

/** As much as the compiler reads. */
const maxHeaderBytes = 16 * 1024 * 1024;
const prefixBytes = 8;

/** Names of ModelPack for types of safetensors. */
const precisions: ReadonlyMap<unknown, string> = new Map([
  ['F64', 'float64'],
  ['F32', 'float32'],
  ['F16', 'float16'],
  ['BF16', 'bfloat16'],
  ['F8_E4M3', 'float8'],
  ['F8_E5M2', 'float8'],
  ['I8', 'int8'],
  ['U8', 'uint8'],
]);

const readAt = (file: number, length: number, position: number): Buffer | undefined => {
  const bytes = Buffer.alloc(length);
  let done = 0;
  while (done < length) {
    const read = readSync(file, bytes, done, length - done, position + done);
    if (read === 0) return undefined;
    done += read;
  }
  return bytes;
};

const headerOf = (file: number): Readonly<Record<string, unknown>> | undefined => {
  const prefix = readAt(file, prefixBytes, 0);
  if (prefix === undefined) return undefined;
  const length = Number(prefix.readBigUInt64LE(0));
  if (length > Math.min(maxHeaderBytes, fstatSync(file).size)) return undefined;
  const text = readAt(file, length, prefixBytes);
  if (text === undefined) return undefined;
  try {
    const value: unknown = JSON.parse(text.toString('utf8'));
    return typeof value === 'object' && value !== null ? { ...value } : undefined;
  } catch {
    return undefined;
  }
};

const sizeOf = (shape: unknown): number =>
  Array.isArray(shape) ? shape.reduce((product: number, size) => product * Number(size), 1) : Number.NaN;

/** Pure. */
const factsOf = (header: Readonly<Record<string, unknown>>): WeightFacts => {
  const counts = new Map<string, number>();
  let parameters = 0;
  for (const [name, tensor] of Object.entries(header)) {
    if (name === '__metadata__') continue;
    if (typeof tensor !== 'object' || tensor === null) return { parameters: 0 };
    const { dtype, shape } = tensor as { readonly dtype?: unknown; readonly shape?: unknown };
    const size = sizeOf(shape);
    parameters += size;
    const precision = precisions.get(dtype);
    if (precision !== undefined) counts.set(precision, (counts.get(precision) ?? 0) + size);
  }
  if (!Number.isSafeInteger(parameters) || parameters < 0) return { parameters: 0 };
  const [most] = [...counts].sort(([, a], [, b]) => b - a);
  return { parameters, ...(most === undefined ? {} : { precision: most[0] }) };
};

/** Of a safetensors file. Blocks; throws what the file system does. */
export const weightFacts = (path: string): WeightFacts => {
  const file = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  try {
    const header = headerOf(file);
    return header === undefined ? { parameters: 0 } : factsOf(header);
  } finally {
    closeSync(file);
  }
};
