import { AdaptletError } from '../../../errors/adaptlet-error.ts';
import { refuse } from '../refuse.ts';

/** How deep objects and lists may lie in each other, and how many there may be: to read them takes many times what their bytes take. */
const maxDepth = 256;
const maxOpened = 100_000;

/** Bytes of JSON's marks. */
const quote = 0x22;
const backslash = 0x5c;
const openList = 0x5b;
const closeList = 0x5d;
const openObject = 0x7b;
const closeObject = 0x7d;

/** The result: objects and lists so far, `before` included. @throws what `deny` does of a text that nobody could mean */
export const checkShape = (bytes: Uint8Array, deny: (why: string) => never, before = 0): number => {
  let [depth, opened, isText] = [0, before, false];
  for (let at = 0; at < bytes.length; at += 1) {
    const byte = bytes[at] ?? 0;
    if (isText) {
      if (byte === backslash) at += 1;
      else if (byte === quote) isText = false;
    } else if (byte === quote) isText = true;
    else if (byte === openList || byte === openObject) {
      depth += 1;
      opened += 1;
      if (depth > maxDepth) deny(`is nested deeper than ${maxDepth}`);
      if (opened > maxOpened) deny(`has more than ${maxOpened} objects and lists`);
    } else if (byte === closeList || byte === closeObject) depth -= 1;
  }
  return opened;
};

/**
 * The value of a JSON text in UTF-8.
 * @throws REQUEST_INVALID, also for one that nobody could mean: it would keep others waiting while it is read
 */
export const readJsonText = (bytes: Uint8Array): unknown => {
  checkShape(bytes, (why) => refuse(`the body ${why}`));
  try {
    return JSON.parse(new TextDecoder().decode(bytes));
  } catch (error) {
    throw new AdaptletError('REQUEST_INVALID', 'the body is not JSON', { cause: error });
  }
};
