import { byteMutators } from './bytes.ts';
import { boundaries, type Mutator } from './choices.ts';
import { json } from './json.ts';

/** Changes the header as JSON, what is said of its length, and the length of the data. */
export const safetensors: Mutator = (bytes, choices, other) => {
  if (bytes.length < 8) return choices.pick(byteMutators)(bytes, choices, other);
  const buffer = Buffer.from(bytes);
  const said = buffer.readBigUInt64LE();
  const length = Number(said < BigInt(bytes.length - 8) ? said : BigInt(bytes.length - 8));
  let header: Uint8Array = buffer.subarray(8, 8 + length);
  let data: Uint8Array = buffer.subarray(8 + length);
  if (choices.chance(0.8)) header = json(header, choices, other);
  if (choices.chance(0.1)) header = Buffer.concat([header, Buffer.alloc(choices.small(64), ' ')]);
  if (choices.chance(0.2)) data = data.subarray(0, choices.below(data.length + 1));
  if (choices.chance(0.1)) data = Buffer.concat([data, Buffer.alloc(choices.small(256))]);
  const prefix = Buffer.alloc(8);
  prefix.writeBigUInt64LE(
    choices.chance(0.1) ? BigInt.asUintN(64, choices.pick(boundaries)) : BigInt(header.length),
  );
  return Buffer.concat([prefix, header, data]);
};
