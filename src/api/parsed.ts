import { z } from 'zod';

/** A part of a value, and where it is. */
type Part = { readonly value: object; readonly key: string | number; readonly around: Part | undefined };

/** zod compares the `length` of whatever has one with the bounds of a text or a list; of some objects that throws. */
const isBeyondCompare = (value: object): boolean => {
  try {
    Number((value as { readonly length?: unknown }).length);
    return false;
  } catch {
    return true;
  }
};

const pathOf = (part: Part): (string | number)[] => {
  const path: (string | number)[] = [];
  for (let at = part; at.around !== undefined; at = at.around) path.unshift(at.key);
  return path;
};

/** Where the part is that zod cannot look at, of several the outermost; undefined where there is none. */
const placeOf = (value: unknown): (string | number)[] | undefined => {
  const parts: Part[] = [];
  // Texts and numbers are passed over: there may be millions.
  const add = (one: unknown, key: string | number, around: Part | undefined): void => {
    if (typeof one === 'object' && one !== null) parts.push({ value: one, key, around });
  };
  add(value, '', undefined);
  for (const part of parts) {
    const { value: one } = part;
    if (isBeyondCompare(one)) return pathOf(part);
    if (Array.isArray(one)) one.forEach((inner: unknown, index) => add(inner, index, part));
    else for (const [key, inner] of Object.entries(one)) add(inner, key, part);
  }
  return undefined;
};

/**
 * As zod's own `validate` stops. Else each of a million wrong elements has an issue, and many in a list end in a RangeError. No type of
 * zod has it: `parsed.test.ts` says when it is gone.
 */
const untilFirst = { reportInput: false, abortEarly: true };

/**
 * What a schema makes of a value of JSON or YAML from anywhere. Its own `safeParse` throws a TypeError of some. `first`: one issue is
 * enough.
 */
export const parsedBy = <S extends z.ZodType>(
  schema: S,
  value: unknown,
  first?: 'first',
): z.ZodSafeParseResult<z.output<S>> => {
  try {
    return schema.safeParse(value, first === undefined ? undefined : untilFirst);
  } catch (error) {
    const path = placeOf(value);
    if (path === undefined) throw error;
    const message = 'is an object whose length is no number';
    const issues = new z.ZodError([{ code: 'custom', path, message, input: value }]);
    return { success: false, error: issues as z.ZodError<z.output<S>> };
  }
};
