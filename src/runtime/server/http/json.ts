import { AdaptletError } from '../../../errors/adaptlet-error.ts';
import { refuse } from '../refuse.ts';

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

/** What JSON has so far. */
export type Counts = { opened: number; texts: number; commas: number };

export const noCounts = (): Counts => ({ opened: 0, texts: 0, commas: 0 });

/**
 * Takes a JSON text in UTF-8, in parts as they come, and counts what it has on top of `counts`.
 * @throws what `deny` does of a text that nobody could mean, as soon as that can be told
 */
export const shapeReader = (
  deny: (why: string) => never,
  counts: Counts = noCounts(),
): ((part: Uint8Array) => void) => {
  let [depth, isText, isEscaped] = [0, false, false];
  return (part) => {
    for (let at = 0; at < part.length; at += 1) {
      const byte = part[at] ?? 0;
      if (isText) {
        if (isEscaped) isEscaped = false;
        else if (byte === backslash) isEscaped = true;
        else if (byte === quote) isText = false;
      } else if (byte === quote) {
        isText = true;
        counts.texts += 1;
        if (counts.texts > maxTexts) deny(`has more than ${maxTexts} names and texts`);
      } else if (byte === comma) {
        counts.commas += 1;
        if (counts.commas > maxCommas) deny(`has more than ${maxCommas} values`);
      } else if (byte === openList || byte === openObject) {
        depth += 1;
        counts.opened += 1;
        if (depth > maxDepth) deny(`is nested deeper than ${maxDepth}`);
        if (counts.opened > maxOpened) deny(`has more than ${maxOpened} objects and lists`);
      } else if (byte === closeList || byte === closeObject) depth -= 1;
    }
  };
};

/** Of a body. @throws REQUEST_INVALID for one that nobody could mean: it would keep others waiting while it is read */
export const bodyShape = (): ((part: Uint8Array) => void) => shapeReader((why) => refuse(`the body ${why}`));

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
