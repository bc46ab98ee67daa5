import { isDeepStrictEqual } from 'node:util';
import type { z } from 'zod';
import { nearest } from '../../../api/nearest.ts';
import { parsedBy } from '../../../api/parsed.ts';
import { quoteUntrusted } from '../../../errors/quote-untrusted.ts';
import { type Field, type Fields, honouredNames, objectOf } from './field.ts';
import { FieldError } from './field-error.ts';

/** How a field is called in a message. */
type Naming = (path: string) => string;

/** Names come from outside: only plain ones are shown as they are. */
const shown = (name: string): string => (/^[\w.-]{1,64}$/.test(name) ? name : quoteUntrusted(name));

const isObject = (value: unknown): value is object => typeof value === 'object' && value !== null;

const unknown = (name: string, path: string, fields: Fields, naming: Naming): FieldError => {
  const [meant] = nearest(name, Object.keys(fields));
  const known = honouredNames(fields);
  const hint =
    meant !== undefined
      ? `the nearest known name is ${meant}`
      : known.length === 0
        ? 'none is'
        : `known are ${known.join(', ')}`;
  return new FieldError('REQUEST_INVALID', `${naming(path)} is not known; ${hint}`, path);
};

const refusal = (field: Field, path: string, value: unknown, naming: Naming): FieldError | undefined => {
  if (field.use === 'honoured' && field.inside !== undefined)
    return firstRefusal(field.inside, value, naming, path);
  if (field.use !== 'refused' || field.neutral.some((one) => isDeepStrictEqual(one, value))) return undefined;
  const neutral = field.neutral.map((one) => JSON.stringify(one)).join(' or ');
  return new FieldError('REQUEST_UNSUPPORTED', `${naming(path)} is not supported: ${field.why}`, path, {
    advice: neutral === '' ? 'Leave it out.' : `Leave it out, or give ${neutral}.`,
  });
};

/** The value is of no type that this takes. */
const isOtherType = ({ code, path }: z.core.$ZodIssue): boolean =>
  path.length === 0 && (code === 'invalid_type' || code === 'invalid_value');

/** A union says only what it takes. Where one of its forms alone is of the value's type, what is wrong within is said. */
const innermost = (issue: z.core.$ZodIssue): z.core.$ZodIssue => {
  if (issue.code !== 'invalid_union') return issue;
  const [within, ...others] = issue.errors.flatMap(([first]) =>
    first === undefined || isOtherType(first) ? [] : [first],
  );
  if (within === undefined || within.path.length === 0 || others.length > 0) return issue;
  return innermost({ ...within, path: [...issue.path, ...within.path] });
};

const invalid = (issue: z.core.$ZodIssue, path: string, naming: Naming): FieldError => {
  const what = path === '' ? 'the body' : naming(path);
  const { message } = issue;
  return new FieldError(
    'REQUEST_INVALID',
    /^(?:must|is) /.test(message) ? `${what} ${message}` : `${what}: ${message}`,
    path,
  );
};

/** The fields that an object may have follow from its kind, so that this is told before them. */
const wrongKind = ({ type }: Fields, value: object, path: string, naming: Naming): FieldError | undefined => {
  if (type?.use !== 'honoured' || type.isKind !== true) return undefined;
  const [issue] = parsedBy(type.schema, (value as { readonly type?: unknown }).type).error?.issues ?? [];
  return issue === undefined ? undefined : invalid(issue, path === '' ? 'type' : `${path}.type`, naming);
};

const firstRefusal = (fields: Fields, value: unknown, naming: Naming, path = ''): FieldError | undefined => {
  if (!isObject(value)) return undefined;
  if (Array.isArray(value)) {
    // What is no object, or a list however deep, has the wrong type, which the schema says. There may be millions.
    for (let at = 0; at < value.length; at += 1) {
      const one: unknown = value[at];
      if (!isObject(one) || Array.isArray(one)) continue;
      const found = firstRefusal(fields, one, naming, path === '' ? String(at) : `${path}.${at}`);
      if (found !== undefined) return found;
    }
    return undefined;
  }
  const other = wrongKind(fields, value, path, naming);
  if (other !== undefined) return other;
  for (const [name, one] of Object.entries(value)) {
    if (one === undefined || one === null) continue;
    const here = path === '' ? shown(name) : `${path}.${shown(name)}`;
    const field = Object.hasOwn(fields, name) ? fields[name] : undefined;
    const found =
      field === undefined ? unknown(name, here, fields, naming) : refusal(field, here, one, naming);
    if (found !== undefined) return found;
  }
  return undefined;
};

/**
 * Lets through only objects whose whole effect is understood. null is as good as absent.
 * @throws REQUEST_UNSUPPORTED, or REQUEST_INVALID for an unknown field; both name the first such field
 */
export const refuseFields = (fields: Fields, value: object, naming: Naming = (path) => path): void => {
  const found = firstRefusal(fields, value, naming);
  if (found !== undefined) throw found;
};

/**
 * Reads objects with these fields.
 * @throws as of {@link refuseFields}, and REQUEST_INVALID for a value of the wrong type; all name the field
 */
export const reader = <F extends Fields>(fields: F, naming: Naming = (path) => path) => {
  const schema = objectOf(fields);
  return (value: unknown): z.infer<typeof schema> => {
    if (isObject(value) && !Array.isArray(value)) refuseFields(fields, value, naming);
    const parsed = parsedBy(schema, value, 'first');
    if (parsed.success) return parsed.data;
    const [first] = parsed.error.issues;
    if (first === undefined) throw new FieldError('REQUEST_INVALID', 'the body is not valid', '');
    const issue = innermost(first);
    throw invalid(issue, issue.path.map((part) => shown(String(part))).join('.'), naming);
  };
};
