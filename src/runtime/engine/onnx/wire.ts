import { AdaptletError } from '../../../errors/adaptlet-error.ts';

/**
 * Just enough of protobuf's wire format (https://protobuf.dev/programming-guides/encoding/) to copy a message
 * field by field. Fields that nobody asks for stay the bytes they were, also those of newer schemas.
 */
export type Field = {
  readonly number: number;
  readonly wire: WireType;
  /** First byte of the tag, and the byte after the value. */
  readonly start: number;
  readonly end: number;
  /** First byte of the value; of a length-delimited field, of its content. */
  readonly valueStart: number;
};

export const wireType = { varint: 0, fixed64: 1, bytes: 2, fixed32: 5 } as const;
export type WireType = (typeof wireType)[keyof typeof wireType];

const malformed = (what: string, at: number): AdaptletError =>
  new AdaptletError('MODEL_INVALID', `The ONNX file is not valid protobuf: ${what} at byte ${at}`);

/** A varint as an unsigned 64-bit number, and where it ends. */
export const readVarint = (
  bytes: Buffer,
  from: number,
  to: number,
): { readonly value: bigint; readonly end: number } => {
  let value = 0n;
  for (let at = from, shift = 0n; at < to; at += 1, shift += 7n) {
    if (shift > 63n) throw malformed('a number of more than 64 bits', from);
    const byte = bytes.readUInt8(at);
    value |= BigInt(byte & 0x7f) << shift;
    if (byte < 0x80) return { value: BigInt.asUintN(64, value), end: at + 1 };
  }
  throw malformed('a number that is cut off', from);
};

/** Tags and lengths: small, and read for every field, so without bigint. */
const readShortVarint = (bytes: Buffer, from: number, to: number): { value: number; end: number } => {
  let value = 0;
  for (let at = from, scale = 1; at < to; at += 1, scale *= 128) {
    if (at - from > 6) throw malformed('a tag or length that is too large', from);
    const byte = bytes.readUInt8(at);
    value += (byte & 0x7f) * scale;
    if (byte < 0x80) return { value, end: at + 1 };
  }
  throw malformed('a tag or length that is cut off', from);
};

const isWireType = (value: number): value is WireType =>
  value === wireType.varint ||
  value === wireType.fixed64 ||
  value === wireType.bytes ||
  value === wireType.fixed32;

/** The fields of one message, in file order. Throws MODEL_INVALID where a field reaches past its message. */
export const readFields = (message: Buffer): readonly Field[] => {
  const fields: Field[] = [];
  const to = message.length;
  for (let start = 0; start < to; ) {
    const tag = readShortVarint(message, start, to);
    const number = Math.floor(tag.value / 8);
    const wire = tag.value % 8;
    if (number === 0 || !isWireType(wire))
      throw malformed(`a tag of field ${number} and type ${wire}`, start);
    let valueStart = tag.end;
    let end: number;
    if (wire === wireType.varint) end = readVarint(message, valueStart, to).end;
    else if (wire === wireType.fixed64) end = valueStart + 8;
    else if (wire === wireType.fixed32) end = valueStart + 4;
    else {
      const length = readShortVarint(message, valueStart, to);
      valueStart = length.end;
      end = valueStart + length.value;
    }
    if (end > to) throw malformed(`field ${number} is longer than its message`, start);
    fields.push({ number, wire, start, end, valueStart });
    start = end;
  }
  return fields;
};

/** Content of a length-delimited field. */
export const contentOf = (message: Buffer, field: Field): Buffer => {
  if (field.wire !== wireType.bytes) throw malformed(`field ${field.number} is not a message`, field.start);
  return message.subarray(field.valueStart, field.end);
};

export const textOf = (message: Buffer, field: Field): string => contentOf(message, field).toString('utf8');

/** A signed 64-bit value; safe for dimensions and attributes, which are far below 2^53. */
export const integerOf = (message: Buffer, field: Field): number => {
  if (field.wire !== wireType.varint) throw malformed(`field ${field.number} is not a number`, field.start);
  return Number(BigInt.asIntN(64, readVarint(message, field.valueStart, field.end).value));
};

/** The same of a repeated field: one number, or all of them packed into one field. */
export const integersIn = (message: Buffer, field: Field): readonly number[] => {
  if (field.wire === wireType.varint) return [integerOf(message, field)];
  const packed = contentOf(message, field);
  const all: number[] = [];
  for (let at = 0; at < packed.length; ) {
    const next = readVarint(packed, at, packed.length);
    all.push(Number(BigInt.asIntN(64, next.value)));
    at = next.end;
  }
  return all;
};

export const floatOf = (message: Buffer, field: Field): number => {
  if (field.wire !== wireType.fixed32) throw malformed(`field ${field.number} is not a float`, field.start);
  return message.readFloatLE(field.valueStart);
};

/** Negative numbers take ten bytes: protobuf writes them as 64 bits of two's complement. */
const negativeVarint = (value: number): Buffer => {
  const out: number[] = [];
  let rest = BigInt.asUintN(64, BigInt(value));
  for (; rest >= 0x80n; rest >>= 7n) out.push(Number(rest & 0x7fn) + 0x80);
  return Buffer.from([...out, Number(rest)]);
};

const varint = (value: number): Buffer => {
  if (value < 0) return negativeVarint(value);
  const out: number[] = [];
  let rest = value;
  while (rest >= 0x80) {
    out.push((rest % 0x80) + 0x80);
    rest = Math.floor(rest / 0x80);
  }
  out.push(rest);
  return Buffer.from(out);
};

/** A field with an integer. */
export const integerField = (number: number, value: number): Buffer =>
  Buffer.concat([varint(number * 8 + wireType.varint), varint(value)]);

/** A length-delimited field: a string or a message. */
export const contentField = (number: number, content: Buffer | string): Buffer => {
  const bytes = typeof content === 'string' ? Buffer.from(content, 'utf8') : content;
  return Buffer.concat([varint(number * 8 + wireType.bytes), varint(bytes.length), bytes]);
};

/** A message with other fields in place of some, or with nothing; all else byte for byte. `change` answers undefined for what stays. */
export const mapFields = (message: Buffer, change: (field: Field) => Buffer | undefined): Buffer =>
  Buffer.concat(
    readFields(message).map((field) => change(field) ?? message.subarray(field.start, field.end)),
  );

/** {@link mapFields} of the contents of all fields of one number. */
export const mapContents = (message: Buffer, number: number, change: (content: Buffer) => Buffer): Buffer =>
  mapFields(message, (field) =>
    field.number === number ? contentField(number, change(contentOf(message, field))) : undefined,
  );
