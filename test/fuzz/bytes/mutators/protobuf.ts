import { boundaries, type Choices, type Mutator } from './choices.ts';

const varint = (value: bigint): Buffer => {
  const bytes: number[] = [];
  let rest = BigInt.asUintN(64, value);
  for (; rest >= 0x80n; rest >>= 7n) bytes.push(Number(rest & 0x7fn) + 0x80);
  return Buffer.from([...bytes, Number(rest)]);
};

const readVarint = (bytes: Uint8Array, from: number): readonly [value: bigint, end: number] | undefined => {
  let value = 0n;
  for (let at = from; at < bytes.length && at < from + 10; at++) {
    value |= BigInt((bytes[at] ?? 0) & 0x7f) << BigInt(7 * (at - from));
    if ((bytes[at] ?? 0) < 0x80) return [value, at + 1];
  }
  return undefined;
};

type Field = { number: bigint; wire: number; content: Uint8Array };

/** Bytes of a value by its type; -1: no type that has a length. */
const lengthOf = (wire: number): number => (wire === 1 ? 8 : wire === 5 ? 4 : -1);

/** The fields of a message, or undefined where it is none. */
const fieldsOf = (bytes: Uint8Array): Field[] | undefined => {
  const fields: Field[] = [];
  for (let at = 0; at < bytes.length; ) {
    const tag = readVarint(bytes, at);
    if (tag === undefined || tag[0] < 8n || tag[0] > 0xffff_ffffn) return undefined;
    const wire = Number(tag[0] & 7n);
    const value = wire === 0 || wire === 2 ? readVarint(bytes, tag[1]) : undefined;
    const start = wire === 2 ? (value?.[1] ?? -1) : tag[1];
    const end =
      wire === 0 ? (value?.[1] ?? -1) : start + (wire === 2 ? Number(value?.[0] ?? -1n) : lengthOf(wire));
    if (start < 0 || end <= tag[1] - 1 || end < start || end > bytes.length) return undefined;
    fields.push({ number: tag[0] >> 3n, wire, content: bytes.subarray(start, end) });
    at = end;
  }
  return fields;
};

const write = ({ number, wire, content }: Field): Buffer =>
  Buffer.concat([
    varint(number * 8n + BigInt(wire)),
    ...(wire === 2 ? [varint(BigInt(content.length))] : []),
    content,
  ]);

const written = (fields: readonly Field[]): Buffer => Buffer.concat(fields.map(write));

/** A length that is not that of what follows. */
const lying = ({ number, content }: Field, choices: Choices): Buffer =>
  Buffer.concat([varint(number * 8n + 2n), varint(choices.pick(boundaries)), content]);

const anyContent = (choices: Choices): Uint8Array => {
  const kind = choices.below(5);
  if (kind === 0) return varint(choices.pick(boundaries));
  if (kind === 1) return Uint8Array.from({ length: choices.small(32) }, () => choices.below(256));
  if (kind === 2)
    return Buffer.from(choices.pick(['', '__proto__', '../x', '\u0000', 'x'.repeat(1000), 'NaN']));
  if (kind === 3) {
    // Packed numbers, a great many.
    const one = varint(choices.pick(boundaries));
    return Buffer.concat(Array.from({ length: choices.small(4000) }, () => one));
  }
  const float = Buffer.alloc(8);
  float.writeDoubleLE(choices.pick([Number.NaN, Infinity, -Infinity, -0, 1e308, -1, 5e-324]));
  return float;
};

const changeField = (field: Field, choices: Choices): void => {
  const kind = choices.below(4);
  if (kind === 0)
    field.number = choices.chance(0.7) ? BigInt(choices.small(32)) : choices.pick(boundaries) & 0xfffffn;
  else if (kind === 1) field.wire = choices.below(8);
  else if (field.wire === 0)
    field.content = varint(choices.chance(0.5) ? choices.pick(boundaries) : -choices.pick(boundaries));
  else {
    const content = Buffer.from(anyContent(choices));
    const length = lengthOf(field.wire);
    field.content = length < 0 ? content : Buffer.concat([content, Buffer.alloc(length)]).subarray(0, length);
  }
};

const mutate = (bytes: Uint8Array, choices: Choices, depth: number): Buffer => {
  const fields = fieldsOf(bytes);
  if (fields === undefined || fields.length === 0) return Buffer.from(anyContent(choices));
  const at = choices.below(fields.length);
  const field = fields[at];
  if (field === undefined) return Buffer.from(bytes);
  // Mostly within what is within.
  if (field.wire === 2 && depth < 12 && choices.chance(0.75) && fieldsOf(field.content) !== undefined) {
    field.content = mutate(field.content, choices, depth + 1);
    return written(fields);
  }
  switch (choices.below(6)) {
    case 0:
      fields.splice(at, 1);
      return written(fields);
    case 1:
      fields.splice(
        choices.below(fields.length),
        0,
        ...Array.from({ length: choices.small(50) }, () => field),
      );
      return written(fields);
    case 2:
      return Buffer.concat(fields.map((each) => (each === field ? lying(each, choices) : write(each))));
    case 3:
      fields.push({
        number: BigInt(choices.small(32)),
        wire: choices.pick([0, 1, 2, 5]),
        content: anyContent(choices),
      });
      return written(fields);
    case 4: {
      // Groups, which no schema here has, one in the other.
      const levels = choices.small(5000);
      const [start, end] = [varint(field.number * 8n + 3n), varint(field.number * 8n + 4n)];
      const repeated = (tag: Buffer) => Buffer.concat(Array.from({ length: levels }, () => tag));
      return Buffer.concat([
        written(fields),
        repeated(start),
        ...(choices.chance(0.5) ? [repeated(end)] : []),
      ]);
    }
    default:
      changeField(field, choices);
      return written(fields);
  }
};

/** Changes fields of a message and of messages within it: which, how often, of which type, how long they say they are. */
export const protobuf: Mutator = (bytes, choices) => {
  let result = mutate(bytes, choices, 0);
  for (let left = choices.small(3) - 1; left > 0; left--) result = mutate(result, choices, 0);
  return result;
};
