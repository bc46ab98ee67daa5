import { AdaptletError } from '../../../errors/adaptlet-error.ts';

/** How deep objects and lists may lie in each other, and what there may be: to read it takes many times what its bytes take. */
const maxDepth = 256;
const maxOpened = 100_000;
const maxTexts = 32_768;
const maxCommas = 500_000;

/** Bytes of JSON's marks. */
const quote = 0x22;
const backslash = 0x5c;
const comma = 0x2c;
const openList = 0x5b;
const closeList = 0x5d;
const openObject = 0x7b;
const closeObject = 0x7d;

const isMark = new Uint8Array(256);
for (const mark of [quote, backslash, comma, openList, closeList, openObject, closeObject]) isMark[mark] = 1;

/** Where the first mark of a text is, or its part ends. */
const firstMark = (part: Uint8Array, from: number): number => {
  const [end, escaped] = [part.indexOf(quote, from), part.indexOf(backslash, from)];
  return Math.min(end < 0 ? Infinity : end, escaped < 0 ? Infinity : escaped, Math.max(from, part.length));
};

/** What JSON has so far. */
export type Counts = { opened: number; texts: number; commas: number };

export const noCounts = (): Counts => ({ opened: 0, texts: 0, commas: 0 });

/**
 * Takes a JSON text in UTF-8, in parts as they come, and counts what it has on top of `counts`.
 * `levels`: of objects and lists within each other.
 * @throws what `deny` does of a text that nobody could mean, as soon as that can be told
 */
export const shapeReader = (
  deny: (why: string) => never,
  counts: Counts = noCounts(),
  levels = maxDepth,
): ((part: Uint8Array) => void) => {
  let [depth, isText, skipped] = [0, false, 0];
  return (part) => {
    // A long text goes on through whole parts.
    let at = isText ? firstMark(part, skipped) : skipped;
    for (; at < part.length; at += 1) {
      const byte = part[at] ?? 0;
      if (isMark[byte] === 0) continue;
      if (byte === quote) {
        isText = !isText;
        if (isText) counts.texts += 1;
        if (counts.texts > maxTexts) deny(`has more than ${maxTexts} names and texts`);
      } else if (isText) {
        if (byte === backslash) at += 1;
      } else if (byte === comma) {
        counts.commas += 1;
        if (counts.commas > maxCommas) deny(`has more than ${maxCommas} values`);
      } else if (byte === openList || byte === openObject) {
        depth += 1;
        counts.opened += 1;
        if (depth > levels) deny(`is nested deeper than ${levels}`);
        if (counts.opened > maxOpened) deny(`has more than ${maxOpened} objects and lists`);
      } else if (byte !== backslash) depth -= 1;
    }
    skipped = at - part.length;
  };
};

/**
 * Of a body. `advice` says what to do where it has too much.
 * @throws REQUEST_INVALID for one that nobody could mean: it would keep others waiting while it is read
 */
export const bodyShape = (advice?: string): ((part: Uint8Array) => void) =>
  shapeReader((why) => {
    throw new AdaptletError('REQUEST_INVALID', `the body ${why}`, advice === undefined ? {} : { advice });
  });

/**
 * The value of a JSON text in UTF-8 whose shape is that of a request.
 * @throws REQUEST_INVALID
 */
export const readJsonText = (bytes: Uint8Array): unknown => {
  try {
    return JSON.parse(new TextDecoder().decode(bytes));
  } catch (error) {
    throw new AdaptletError('REQUEST_INVALID', 'the body is not JSON', { cause: error });
  }
};
