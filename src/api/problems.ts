import type { z } from 'zod';
import { fieldsAt, type Kind } from './kinds.ts';
import { givenFields } from './metadata.ts';
import { nearest } from './nearest.ts';

export type Path = readonly (string | number)[];

/** What is wrong with a field, in words that say what to write. `path` leads to the field, or to where it is missing. */
export type FieldProblem = { readonly path: Path; readonly reason: string };

/** `spec.rules[0].targets[1].weight`, the way people and kubectl write it. */
export const pathText = (path: Path): string =>
  path.reduce<string>((text, part) => {
    if (typeof part === 'number') return `${text}[${part}]`;
    if (!/^[A-Za-z_$][\w$]*$/.test(part)) return `${text}[${JSON.stringify(part.slice(0, 80))}]`;
    return text === '' ? part : `${text}.${part}`;
  }, '');

const asPath = (path: readonly PropertyKey[]): Path =>
  path.map((part) => (typeof part === 'number' ? part : String(part)));

const valueAt = (value: unknown, path: Path): unknown =>
  path.reduce<unknown>(
    (at, part) =>
      typeof at === 'object' && at !== null ? (at as Record<string | number, unknown>)[part] : undefined,
    value,
  );

/** Turns the issues of a schema into problems of fields: one message form for everything that a user can get wrong. */
export const fieldProblems = (
  kind: Kind,
  value: unknown,
  issues: readonly z.core.$ZodIssue[],
): FieldProblem[] => {
  const misspelled = new Set(
    issues.filter((i) => i.code === 'unrecognized_keys').map((i) => pathText(asPath(i.path))),
  );
  return issues.flatMap((issue) => {
    const path = asPath(issue.path);
    if (issue.code === 'unrecognized_keys') return issue.keys.map((key) => unknownField(kind, path, key));
    // A field that is spelled wrong also makes its object incomplete: one mistake, one message.
    if (issue.code === 'custom' && misspelled.has(pathText(path))) return [];
    const reason = describe(issue, valueAt(value, path));
    return [
      {
        path,
        reason: reason === 'is required' ? `${pathText(path)} ${reason}` : `${pathText(path)}: ${reason}`,
      },
    ];
  });
};

const unknownField = (kind: Kind, path: Path, key: string): FieldProblem => {
  const full = [...path, key];
  const name = pathText(full);
  const [hint] = nearest(key, fieldsAt(kind, path));
  const reason =
    givenFields.get(name) ?? `unknown field ${name}${hint === undefined ? '' : `, did you mean ${hint}`}`;
  return { path: full, reason };
};

const expected: Readonly<Record<string, string>> = {
  string: 'a text',
  number: 'a number',
  int: 'a whole number',
  boolean: 'true or false',
  array: 'a list',
  object: 'a map of fields',
  record: 'a map of texts',
};

const describe = (issue: z.core.$ZodIssue, value: unknown): string => {
  if (issue.code === 'invalid_type') return wrongType(issue.expected, value);
  if (issue.code === 'invalid_value') return wrongValue(issue.values.map(String), value);
  if (issue.code === 'too_small') return bound(issue.origin, Number(issue.minimum), 'least');
  if (issue.code === 'too_big') return bound(issue.origin, Number(issue.maximum), 'most');
  if (issue.code === 'invalid_key') return issue.issues.map((i) => i.message).join('; ');
  return issue.message;
};

const wrongType = (wanted: string, value: unknown): string => {
  if (value === undefined) return 'is required';
  const what = `must be ${expected[wanted] ?? wanted}`;
  if (value === null) return `${what}, but nothing is written there`;
  if (wanted === 'string' && (typeof value === 'number' || typeof value === 'boolean')) {
    return `${what}: put it in quotes, "${value}"`;
  }
  return what;
};

const wrongValue = (values: readonly string[], value: unknown): string => {
  if (value === undefined) return 'is required';
  const [hint] = typeof value === 'string' ? nearest(value, values) : [];
  const what = values.length === 1 ? `must be ${values[0]}` : `must be one of ${values.join(', ')}`;
  return hint === undefined || values.length === 1 ? what : `${what}; did you mean ${hint}`;
};

const bound = (origin: string, limit: number, side: 'least' | 'most'): string => {
  if (origin === 'string') {
    return side === 'least' && limit === 1 ? 'must not be empty' : `must have at ${side} ${limit} characters`;
  }
  if (origin === 'array') return `must have at ${side} ${limit} ${limit === 1 ? 'item' : 'items'}`;
  return `must be at ${side} ${limit}`;
};
