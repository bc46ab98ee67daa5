import { type ObjectKey, objectKey } from '../api/names.ts';
import type { Manifest } from '../api/objects.ts';
import type { Rule } from '../api/route.ts';

/** Adapters that rules name, in a namespace. */
export const adaptersOfRules = (namespace: string, rules: readonly Rule[]): ObjectKey[] =>
  rules.flatMap((rule) =>
    [...(rule.targets ?? []), ...rule.fallback].flatMap(({ adapter }) =>
      adapter === undefined ? [] : [objectKey(namespace, adapter)],
    ),
  );

/** Adapters on whose resources an object has an influence. */
export const adaptersNamedBy = (object: Manifest | undefined): ReadonlySet<ObjectKey> => {
  if (object?.kind === 'AdapterRoute')
    return new Set(adaptersOfRules(object.metadata.namespace, object.spec.rules));
  if (object?.kind !== 'AdapterRollout') return new Set();
  const { metadata, spec, status } = object;
  const bound = [status?.stable, status?.canary, ...(status?.history ?? [])];
  const names = [spec.adapter, ...bound.flatMap((one) => one?.adapter ?? [])];
  return new Set(names.map((name) => objectKey(metadata.namespace, name)));
};
