import { AdaptletError } from '../../../errors/adaptlet-error.ts';
import type {
  InferTensorContents,
  ModelInferRequest_InferInputTensor as InputTensor,
  ModelInferRequest,
} from '../../../gen/inference/grpc_service.ts';
import { refuse } from '../refuse.ts';

const utf8 = new TextDecoder('utf-8', { fatal: true });

const decodeText = (bytes: Uint8Array, name: string): string => {
  try {
    return utf8.decode(bytes);
  } catch (error) {
    throw new AdaptletError('REQUEST_INVALID', `input ${name} is not UTF-8`, { cause: error });
  }
};

/** Where the data of one input is: in typed contents, or in the entry of raw_input_contents with the same index. */
export type InputData = { readonly tensor: InputTensor; readonly raw: Buffer | undefined };

const hasContents = (contents: InferTensorContents | undefined): boolean =>
  contents !== undefined && Object.values(contents).some((list: readonly unknown[]) => list.length > 0);

/**
 * Pairs the inputs with their data.
 * @throws REQUEST_INVALID when raw and typed contents are mixed or do not pair
 */
export const inputData = (request: ModelInferRequest): InputData[] => {
  const { inputs, rawInputContents: raw } = request;
  if (raw.length === 0) return inputs.map((tensor) => ({ tensor, raw: undefined }));
  if (raw.length !== inputs.length)
    refuse(`raw_input_contents has ${raw.length} entries for ${inputs.length} inputs`);
  const both = inputs.find((tensor) => hasContents(tensor.contents));
  if (both !== undefined) refuse(`input ${both.name} has contents although raw_input_contents is used`);
  return inputs.map((tensor, i) => ({ tensor, raw: raw[i] }));
};

/** Number of elements of a tensor whose leading dimension may only be a batch of one. */
const elements = ({ tensor }: InputData): number => {
  const { name, shape } = tensor;
  const text = `[${shape.join(',')}]`;
  if (shape.length === 0 || shape.length > 2 || shape.some((d) => d < 1n))
    refuse(`input ${name} has shape ${text}, it must be [n] or [1,n]`);
  if (shape.length === 2 && shape[0] !== 1n) refuse(`input ${name} has shape ${text}, the batch must be 1`);
  return Number(shape.at(-1));
};

const expectType = ({ tensor }: InputData, datatype: string): void => {
  if (tensor.datatype !== datatype)
    refuse(`input ${tensor.name} has datatype ${tensor.datatype || '(none)'}, it must be ${datatype}`);
};

/** The typed list of an input; any other list that is filled is refused. */
export const typed = <K extends keyof InferTensorContents>(
  input: InputData,
  key: K,
  wire: string,
): InferTensorContents[K] => {
  const { name, contents } = input.tensor;
  if (contents === undefined) return refuse(`input ${name} has no contents`);
  const { [key]: wanted } = contents;
  if (hasContents({ ...contents, [key]: [] }))
    refuse(`input ${name} has contents of another datatype, it must be contents.${wire}`);
  return wanted;
};

/** Elements of BYTES: each is its length as 4 bytes little-endian, then its bytes. */
const rawBytes = (raw: Buffer, name: string): Buffer[] => {
  const list: Buffer[] = [];
  for (let at = 0; at < raw.length; ) {
    const length =
      at + 4 <= raw.length ? raw.readUInt32LE(at) : refuse(`raw content of input ${name} is cut short`);
    const end = at + 4 + length;
    if (end > raw.length) refuse(`raw content of input ${name} is cut short`);
    list.push(raw.subarray(at + 4, end));
    at = end;
  }
  return list;
};

/** The one string of a BYTES [1] or [1,1] input. */
export const readText = (input: InputData): string => {
  expectType(input, 'BYTES');
  const { name } = input.tensor;
  if (elements(input) !== 1) refuse(`input ${name} has ${elements(input)} elements, it must have 1`);
  const list =
    input.raw === undefined ? typed(input, 'bytesContents', 'bytes_contents') : rawBytes(input.raw, name);
  const [only] = list;
  if (list.length !== 1 || only === undefined)
    return refuse(`input ${name} has ${list.length} elements of data for 1 element of shape`);
  return decodeText(only, name);
};

/** The strings of a BYTES [n] or [n,1] input. */
export const readTexts = (input: InputData): string[] => {
  expectType(input, 'BYTES');
  const { name, shape } = input.tensor;
  const column = shape.length === 2 && shape[1] === 1n;
  if ((shape.length !== 1 && !column) || shape.some((size) => size < 1n))
    refuse(`input ${name} has shape [${shape.join(',')}], it must be [n] or [n,1]`);
  const list =
    input.raw === undefined ? typed(input, 'bytesContents', 'bytes_contents') : rawBytes(input.raw, name);
  if (BigInt(list.length) !== shape[0])
    refuse(`input ${name} has ${list.length} elements of data for ${shape[0]} of shape`);
  return list.map((bytes) => decodeText(bytes, name));
};

/** The numbers of an INT64 [n] or [1,n] input. */
export const readIds = (input: InputData): number[] => {
  expectType(input, 'INT64');
  const { name } = input.tensor;
  const count = elements(input);
  const { raw } = input;
  if (raw === undefined) {
    const list = typed(input, 'int64Contents', 'int64_contents');
    if (list.length !== count)
      refuse(`input ${name} has ${list.length} elements of data for ${count} of shape`);
    return list.map(Number);
  }
  if (raw.length !== count * 8)
    refuse(`raw content of input ${name} has ${raw.length} bytes, not ${count * 8}`);
  return Array.from({ length: count }, (_, i) => Number(raw.readBigInt64LE(i * 8)));
};

export const encodeBytes = (text: string): Buffer => {
  const bytes = Buffer.from(text, 'utf8');
  const raw = Buffer.alloc(4 + bytes.length);
  raw.writeUInt32LE(bytes.length, 0);
  bytes.copy(raw, 4);
  return raw;
};

export const encodeInt64 = (numbers: readonly number[]): Buffer => {
  const raw = Buffer.alloc(numbers.length * 8);
  for (const [i, n] of numbers.entries()) raw.writeBigInt64LE(BigInt(n), i * 8);
  return raw;
};
