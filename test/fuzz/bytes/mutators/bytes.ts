import { boundaries, type Choices, type Mutator } from './choices.ts';

/** Longer inputs are cut: what is long costs time and finds little. */
export const maxInputBytes = 256 * 1024;

const around = (bytes: Uint8Array, from: number, to: number, between: Uint8Array): Uint8Array =>
  Buffer.concat([bytes.subarray(0, from), between, bytes.subarray(to)]);

const rangeOf = (bytes: Uint8Array, choices: Choices): readonly [from: number, to: number] => {
  const from = choices.below(bytes.length + 1);
  return [from, Math.min(bytes.length, from + choices.small(64))];
};

const changed = (bytes: Uint8Array, change: (copy: Buffer) => void): Uint8Array => {
  const copy = Buffer.from(bytes);
  change(copy);
  return copy;
};

const flip: Mutator = (bytes, choices) =>
  changed(bytes, (copy) => {
    for (let left = choices.small(4); left > 0 && copy.length > 0; left--) {
      const at = choices.below(copy.length);
      copy[at] = (copy[at] ?? 0) ^ (1 << choices.below(8));
    }
  });

const overwrite: Mutator = (bytes, choices) =>
  changed(bytes, (copy) => {
    if (copy.length > 0) copy[choices.below(copy.length)] = choices.pick([0, 0x0a, 0x20, 0x7f, 0x80, 0xff]);
  });

const insert: Mutator = (bytes, choices) => {
  const [at] = rangeOf(bytes, choices);
  const added = Uint8Array.from({ length: choices.small(32) }, () => choices.below(256));
  return around(bytes, at, at, added);
};

const remove: Mutator = (bytes, choices) => around(bytes, ...rangeOf(bytes, choices), new Uint8Array(0));

const truncate: Mutator = (bytes, choices) => bytes.subarray(0, choices.below(bytes.length + 1));

/** The same again, once or very often: nesting, repeated keys, long lists. */
const repeat: Mutator = (bytes, choices) => {
  const [from, to] = rangeOf(bytes, choices);
  const times = choices.chance(0.1) ? choices.small(8192) : choices.small(8);
  const piece = bytes.subarray(from, to);
  return around(bytes, to, to, Buffer.concat(Array.from({ length: times }, () => piece)));
};

const move: Mutator = (bytes, choices) => {
  const [from, to] = rangeOf(bytes, choices);
  const rest = around(bytes, from, to, new Uint8Array(0));
  const at = choices.below(rest.length + 1);
  return around(rest, at, at, bytes.subarray(from, to));
};

/** The beginning of one and the end of another. */
const splice: Mutator = (bytes, choices, other) => {
  const second = other();
  return Buffer.concat([
    bytes.subarray(0, choices.below(bytes.length + 1)),
    second.subarray(choices.below(second.length + 1)),
  ]);
};

/** A number of 1 to 8 bytes, in either order, is another one. */
const integer: Mutator = (bytes, choices) =>
  changed(bytes, (copy) => {
    const width = choices.pick([1, 2, 4, 8]);
    if (copy.length < width) return;
    const number = Buffer.alloc(8);
    number.writeBigUInt64LE(BigInt.asUintN(64, choices.pick(boundaries)));
    const piece = number.subarray(0, width);
    if (choices.chance(0.5)) piece.reverse();
    piece.copy(copy, choices.below(copy.length - width + 1));
  });

/** A number that is written in digits is another one. */
const digits: Mutator = (bytes, choices) => {
  const text = Buffer.from(bytes).toString('latin1');
  const numbers = [...text.matchAll(/\d+/g)];
  if (numbers.length === 0) return integer(bytes, choices, () => bytes);
  const found = choices.pick(numbers);
  const written = Buffer.from(String(choices.pick(boundaries)));
  return around(bytes, found.index, found.index + found[0].length, written);
};

/** Changes that know nothing of a format. */
export const byteMutators: readonly Mutator[] = [
  flip,
  overwrite,
  insert,
  remove,
  truncate,
  repeat,
  move,
  splice,
  integer,
  digits,
];

/** Puts words of a language at random places, or in place of what is there. */
export const words =
  (dictionary: readonly string[]): Mutator =>
  (bytes, choices) => {
    let result = bytes;
    for (let left = choices.small(6); left > 0; left--) {
      const [from, to] = rangeOf(result, choices);
      result = around(result, from, choices.chance(0.5) ? from : to, Buffer.from(choices.pick(dictionary)));
    }
    return result;
  };

/** A text within which anything from inside brackets is found again and again, some thousand levels deep. */
export const nest =
  (open: string, close: string): Mutator =>
  (bytes, choices) => {
    const [from] = rangeOf(bytes, choices);
    const levels = choices.small(40_000);
    return around(bytes, from, from, Buffer.from(open.repeat(levels) + close.repeat(levels)));
  };
