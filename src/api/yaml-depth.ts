import { Lexer } from 'yaml';

const opens = /[[{]/g;

/**
 * True when `[` and `{` are nested deeper than `limit`. Only texts with that many brackets are looked at closely; the
 * YAML parser would spend seconds on a hostile one.
 */
export const flowDepthExceeds = (text: string, limit: number): boolean => {
  if ((text.match(opens)?.length ?? 0) <= limit) return false;
  let depth = 0;
  for (const token of new Lexer().lex(text)) {
    if (token === '[' || token === '{') depth += 1;
    else if (token === ']' || token === '}') depth = Math.max(0, depth - 1);
    if (depth > limit) return true;
  }
  return false;
};
