import { type Classifier, exampleAdapterOf } from '../api/classifier.ts';
import { type ObjectKey, objectKey } from '../api/names.ts';
import type { Manifest } from '../api/objects.ts';
import type { Rule } from '../api/route.ts';

/** Adapters that a route names, in a namespace: as targets, or because their smoke tests are examples of a label. */
export const adaptersOfRoute = (
  namespace: string,
  {
    rules,
    classifiers = [],
  }: { readonly rules: readonly Rule[]; readonly classifiers?: readonly Classifier[] | undefined },
): ObjectKey[] => {
  const targets = rules.flatMap((rule) =>
    [...(rule.targets ?? []), ...rule.fallback].flatMap(({ adapter }) => adapter ?? []),
  );
  const examples = classifiers.flatMap((classifier) =>
    (classifier.examples?.labels ?? []).flatMap((label) => exampleAdapterOf(label) ?? []),
  );
  return [...targets, ...examples].map((name) => objectKey(namespace, name));
};

/** Adapters on whose resources an object has an influence. */
export const adaptersNamedBy = (object: Manifest | undefined): ReadonlySet<ObjectKey> => {
  if (object?.kind === 'AdapterRoute')
    return new Set(adaptersOfRoute(object.metadata.namespace, object.spec));
  if (object?.kind !== 'AdapterRollout') return new Set();
  const { metadata, spec, status } = object;
  const bound = [status?.stable, status?.canary, ...(status?.history ?? [])];
  const names = [spec.adapter, ...bound.flatMap((one) => one?.adapter ?? [])];
  return new Set(names.map((name) => objectKey(metadata.namespace, name)));
};
