import type { Call } from './call-reader.ts';
import type { JsonObject } from './json-object.ts';

const parsed = (text: string): { readonly name?: unknown } | undefined => {
  try {
    return JSON.parse(text) as { readonly name?: unknown };
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
};

/**
 * The call that a whole object is: `name`, and the arguments under one of these names. Undefined: it is none, or of no tool that
 * there is.
 */
export const callOf = (
  object: JsonObject,
  names: ReadonlySet<string>,
  under: readonly string[],
): Call | undefined => {
  const name = parsed(object.text)?.name;
  if (typeof name !== 'string' || !names.has(name)) return undefined;
  const given = under.map((each) => object.member(each)).find((each) => each !== undefined);
  return given?.startsWith('{') === true ? { name, arguments: given } : undefined;
};
