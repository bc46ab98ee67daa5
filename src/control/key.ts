import { modelNameSchema, nameSchema, namespaceSchema, type ObjectKey, objectKey } from '../api/names.ts';
import type { Resource } from '../plan/resources.ts';

const types = [
  'AdapterSpec',
  'Split',
  'Route',
  'Policy',
  'Keys',
] as const satisfies readonly Resource['type'][];

export type ResourceName = { readonly type: Resource['type']; readonly name: ObjectKey };

/** Longest `type namespace/name`. */
const maxKey = 400;

/** Reads `type namespace/name`; undefined when it is anything else. */
export const readKey = (key: string): ResourceName | undefined => {
  if (key.length > maxKey) return undefined;
  const [type, name, ...more] = key.split(' ');
  const known = types.find((one) => one === type);
  if (known === undefined || name === undefined || more.length > 0) return undefined;
  const [namespace, object, ...rest] = name.split('/');
  if (namespace === undefined || object === undefined || rest.length > 0) return undefined;
  return isNamespace(namespace) && nameSchema.safeParse(object).success
    ? { type: known, name: objectKey(namespace, object) }
    : undefined;
};

/** Namespace of `type namespace/name` or of `namespace/name`; '' when there is none. */
export const namespaceOf = (key: string): string =>
  key.slice(key.indexOf(' ') + 1, Math.max(0, key.indexOf('/')));

/** True for `namespace/name` where the name can be one of an object or of a route's model. */
export const isClientName = (name: string): boolean => {
  if (name.length > maxKey) return false;
  const [namespace, object, ...rest] = name.split('/');
  if (namespace === undefined || object === undefined || rest.length > 0) return false;
  return (
    isNamespace(namespace) &&
    (nameSchema.safeParse(object).success || modelNameSchema.safeParse(object).success)
  );
};

const isNamespace = (namespace: string): boolean => namespaceSchema.safeParse(namespace).success;
