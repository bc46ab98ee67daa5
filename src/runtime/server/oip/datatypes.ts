import { AdaptletError } from '../../../errors/adaptlet-error.ts';
import type { InferTensorContents } from '../../../gen/inference/grpc_service.ts';
import type { NamedTensor } from '../../engine/tasks.ts';
import { refuse } from '../refuse.ts';
import { refuseTensorParameters } from './parameters.ts';
import { encodeBytes, type InputData, typed } from './tensors.ts';

type ElementType = NamedTensor['type'];
type Numbers = readonly (number | bigint | boolean)[];

/** How the elements of a datatype are written: in which typed list, and as which bytes. */
type Datatype = {
  readonly name: string;
  readonly list: Exclude<keyof InferTensorContents, 'bytesContents'>;
  /** Name of the list in the protocol. */
  readonly wire: string;
  readonly encode: (values: Numbers) => Uint8Array<ArrayBuffer>;
  readonly decode: (bytes: Uint8Array<ArrayBuffer>) => number[] | bigint[] | boolean[];
};

const bytesOf = (view: { readonly buffer: ArrayBuffer }): Uint8Array<ArrayBuffer> =>
  new Uint8Array(view.buffer);
const numbers = (values: Numbers): number[] => values.map(Number);
const bigints = (values: Numbers): bigint[] => values.map((value) => BigInt(value));

const ints = { list: 'intContents', wire: 'int_contents' } as const;
const uints = { list: 'uintContents', wire: 'uint_contents' } as const;

/** KServe's datatypes of ONNX's element types. */
const datatypes: Readonly<Record<ElementType, Datatype | { readonly name: 'FP16' }>> = {
  bool: {
    name: 'BOOL',
    list: 'boolContents',
    wire: 'bool_contents',
    encode: (values) => Uint8Array.from(values, (value) => (value === true ? 1 : 0)),
    decode: (bytes) => Array.from(bytes, (byte) => byte !== 0),
  },
  int8: {
    name: 'INT8',
    ...ints,
    encode: (values) => bytesOf(Int8Array.from(numbers(values))),
    decode: ({ buffer }) => [...new Int8Array(buffer)],
  },
  int16: {
    name: 'INT16',
    ...ints,
    encode: (values) => bytesOf(Int16Array.from(numbers(values))),
    decode: ({ buffer }) => [...new Int16Array(buffer)],
  },
  int32: {
    name: 'INT32',
    ...ints,
    encode: (values) => bytesOf(Int32Array.from(numbers(values))),
    decode: ({ buffer }) => [...new Int32Array(buffer)],
  },
  int64: {
    name: 'INT64',
    list: 'int64Contents',
    wire: 'int64_contents',
    encode: (values) => bytesOf(BigInt64Array.from(bigints(values))),
    decode: ({ buffer }) => [...new BigInt64Array(buffer)],
  },
  uint8: {
    name: 'UINT8',
    ...uints,
    encode: (values) => Uint8Array.from(numbers(values)),
    decode: (bytes) => [...bytes],
  },
  uint16: {
    name: 'UINT16',
    ...uints,
    encode: (values) => bytesOf(Uint16Array.from(numbers(values))),
    decode: ({ buffer }) => [...new Uint16Array(buffer)],
  },
  uint32: {
    name: 'UINT32',
    ...uints,
    encode: (values) => bytesOf(Uint32Array.from(numbers(values))),
    decode: ({ buffer }) => [...new Uint32Array(buffer)],
  },
  uint64: {
    name: 'UINT64',
    list: 'uint64Contents',
    wire: 'uint64_contents',
    encode: (values) => bytesOf(BigUint64Array.from(bigints(values))),
    decode: ({ buffer }) => [...new BigUint64Array(buffer)],
  },
  // It has no list: it is always raw.
  float16: { name: 'FP16' },
  float32: {
    name: 'FP32',
    list: 'fp32Contents',
    wire: 'fp32_contents',
    encode: (values) => bytesOf(Float32Array.from(numbers(values))),
    decode: ({ buffer }) => [...new Float32Array(buffer)],
  },
  float64: {
    name: 'FP64',
    list: 'fp64Contents',
    wire: 'fp64_contents',
    encode: (values) => bytesOf(Float64Array.from(numbers(values))),
    decode: ({ buffer }) => [...new Float64Array(buffer)],
  },
};

export const datatypeOf = (type: ElementType): string => datatypes[type].name;

const isElementType = (type: string): type is ElementType => Object.hasOwn(datatypes, type);

const elementTypeOf = (name: string, datatype: string): ElementType =>
  Object.keys(datatypes)
    .filter(isElementType)
    .find((type) => datatypes[type].name === datatype) ??
  refuse(`input ${name} has datatype ${datatype || '(none)'}, which no tensor of numbers has`);

/** A copy that begins with its buffer: bytes of a message lie anywhere in a larger one. */
const aligned = (raw: Uint8Array): Uint8Array<ArrayBuffer> => new Uint8Array(raw);

/**
 * A tensor of numbers.
 * @throws REQUEST_INVALID
 */
export const readTensor = (input: InputData): NamedTensor => {
  const { name, datatype, shape, parameters } = input.tensor;
  refuseTensorParameters(`input ${name}`, parameters);
  const type = elementTypeOf(name, datatype);
  const sizes = shape.map(Number);
  if (input.raw !== undefined) return { name, type, shape: sizes, data: aligned(input.raw) };
  const form = datatypes[type];
  if (!('list' in form)) return refuse(`input ${name} is ${datatype}, which has to be in raw_input_contents`);
  const empty = sizes.some((size) => size === 0) && input.tensor.contents === undefined;
  return {
    name,
    type,
    shape: sizes,
    data: empty ? new Uint8Array() : encodeExactly(name, form, typed(input, form.list, form.wire)),
  };
};

const isInteger = (value: unknown): value is number => Number.isSafeInteger(value);

/** What JSON may have for a datatype: a whole number must be exact, as JSON's numbers are doubles. */
const plainValue: Readonly<Record<string, (value: unknown) => value is number | boolean>> = {
  BOOL: (value) => typeof value === 'boolean',
  // JSON has no infinity: 1e999 is read as one, and 1e39 would be one.
  FP32: (value): value is number => typeof value === 'number' && Number.isFinite(Math.fround(value)),
  FP64: (value): value is number => typeof value === 'number' && Number.isFinite(value),
};

/**
 * The bytes of an input whose elements came as JSON.
 * @throws REQUEST_INVALID for another datatype, or elements that are not of it
 */
export const bytesOfValues = (name: string, datatype: string, values: readonly unknown[]): Buffer => {
  const refuseElement = (): never =>
    refuse(
      `input ${name} has an element that is not ${datatype}, or not exact in JSON; send it as binary data`,
    );
  if (datatype === 'BYTES')
    return Buffer.concat(
      values.map((value) => (typeof value === 'string' ? encodeBytes(value) : refuseElement())),
    );
  const form = datatypes[elementTypeOf(name, datatype)];
  if (!('list' in form)) return refuse(`input ${name} is ${datatype}, which has to come as binary data`);
  const isValue = plainValue[datatype] ?? isInteger;
  if (!values.every(isValue)) return refuseElement();
  return Buffer.from(encodeExactly(name, form, values));
};

/** Whole numbers that the datatype cannot hold would wrap around. */
const encodeExactly = (name: string, form: Datatype, values: Numbers): Uint8Array<ArrayBuffer> => {
  const bytes = form.encode(values);
  if (form.name.startsWith('FP')) return bytes;
  const back = form.decode(bytes);
  const at = values.findIndex((value, i) => Number(value) !== Number(back[i]));
  return at < 0
    ? bytes
    : refuse(`input ${name} has ${String(values[at])} as an element, which ${form.name} cannot hold`);
};

/**
 * The elements of a tensor as a JSON list.
 * @throws REQUEST_UNSUPPORTED where JSON cannot hold them
 */
export const jsonOf = (tensor: NamedTensor): string => {
  const form = datatypes[tensor.type];
  const values = 'list' in form ? form.decode(aligned(tensor.data)) : undefined;
  if (values === undefined || values.some((value) => typeof value === 'number' && !Number.isFinite(value)))
    throw new AdaptletError(
      'REQUEST_UNSUPPORTED',
      `output ${tensor.name} has elements that JSON cannot hold (${form.name})`,
      { advice: 'Ask for it with the parameter binary_data true.' },
    );
  return `[${values.join(',')}]`;
};

/** The typed contents of a tensor; undefined for FP16, which has none. */
export const contentsOf = ({ type, data }: NamedTensor): Partial<InferTensorContents> | undefined => {
  const form = datatypes[type];
  return 'list' in form ? { [form.list]: form.decode(aligned(data)) } : undefined;
};
