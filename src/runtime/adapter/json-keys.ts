/** No file of an adapter nests deeper. What does costs its readers stack, and memory many times its bytes. */
const maxDepth = 64;

/** True where brackets are nested deeper than any file of an adapter has them. Of any text: it need not be JSON. */
export const nestsTooDeep = (text: string): boolean => {
  let depth = 0;
  let isString = false;
  for (let at = 0; at < text.length; at++) {
    const character = text[at];
    if (isString && character === '\\') at++;
    else if (character === '"') isString = !isString;
    else if (isString) continue;
    else if (character === '{' || character === '[') depth++;
    else if (character === '}' || character === ']') depth--;
    if (depth > maxDepth) return true;
  }
  return false;
};

/** Index of the quote that closes the string which opens at `from`. */
const endOfString = (text: string, from: number): number => {
  let at = from + 1;
  while (text[at] !== '"') at += text[at] === '\\' ? 2 : 1;
  return at;
};

const isFollowedByColon = (text: string, from: number): boolean => {
  let at = from;
  while (' \t\n\r'.includes(text[at] ?? 'end')) at++;
  return text[at] === ':';
};

/**
 * The first key that an object of a JSON text has twice, or undefined. JSON.parse keeps the last one without a word,
 * other readers keep the first: a file that two readers understand differently is refused.
 * Assumes that JSON.parse accepts the text.
 */
export const duplicateKey = (text: string): string | undefined => {
  const open: Set<unknown>[] = [];
  for (let at = 0; at < text.length; at++) {
    const character = text[at];
    if (character === '{' || character === '[') open.push(new Set());
    else if (character === '}' || character === ']') open.pop();
    else if (character === '"') {
      const end = endOfString(text, at);
      if (isFollowedByColon(text, end + 1)) {
        const key: unknown = JSON.parse(text.slice(at, end + 1));
        const keys = open.at(-1);
        if (keys?.has(key) === true) return String(key);
        keys?.add(key);
      }
      at = end;
    }
  }
  return undefined;
};
