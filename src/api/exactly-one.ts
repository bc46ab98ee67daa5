import { z } from 'zod';
import { type CelRule, cel } from './text.ts';

const isPresent = (value: unknown): boolean => value !== undefined;

const names = (keys: readonly string[]): string => keys.join(', ');

/**
 * A strict object of which exactly one of `keys` must be present. `example` is what a user could write.
 * The same rule goes into the CRD as CEL.
 */
export const exactlyOneOf = <S extends z.core.$ZodLooseShape>(
  shape: S,
  keys: readonly (keyof S & string)[],
  { example, description, rules = [] }: { example: string; description: string; rules?: readonly CelRule[] },
) => {
  const message = `must have exactly one of ${names(keys)}, for example ${example}`;
  return z
    .strictObject(shape)
    .superRefine((value, ctx) => {
      const record: Readonly<Record<string, unknown>> = value;
      const present = keys.filter((key) => isPresent(record[key]));
      if (present.length === 1) return;
      const has = present.length === 0 ? 'it has none' : `it has ${names(present)}: remove all but one`;
      ctx.addIssue({ code: 'custom', message: `${message}; ${has}` });
    })
    .meta({ description, ...cel({ rule: exactlyOneRule(keys), message }, ...rules) });
};

/** CEL escapes its own reserved words in field names (`in` is `__in__`). */
const celField = (key: string): string => (key === 'in' ? '__in__' : key);

const exactlyOneRule = (keys: readonly string[]): string =>
  `[${keys.map((key) => `has(self.${celField(key)})`).join(', ')}].filter(x, x).size() == 1`;
