import { createHash } from 'node:crypto';
import { namespaceOf, type ObjectKey, objectKey } from '../../api/names.ts';
import type { Manifest, RouteObject } from '../../api/objects.ts';
import { clientNameOf, keyOf } from '../../api/references.ts';
import type { Read } from '../objects/objects.ts';
import type { Caches } from '../reconcile/controller.ts';
import type { NameClaims } from '../reconcile/name-claims.ts';

export type Named = Pick<Caches, 'adapters' | 'rollouts' | 'routes'>;

/** A name belongs to the oldest object of its namespace that wants it. */
export type Claims = Pick<NameClaims, 'conflictOf'>;

/** Names that clients may send as `model`, in order, by the base model that serves them. */
export type ModelNames = ReadonlyMap<string, readonly string[]>;

const present = <T>(reads: Iterable<Read<T>>): T[] =>
  [...reads].flatMap(({ object, metadata }) =>
    object === undefined || metadata.deletionTimestamp !== undefined ? [] : [object],
  );

/** The base model of all that a route may lead to; undefined: of several, or of none that is known. */
const baseOfRoute = (
  { metadata, spec }: RouteObject,
  bases: ReadonlyMap<ObjectKey, string>,
  objects: Named,
) => {
  const found = new Set<string>();
  for (const { targets = [], fallback, perUser } of spec.rules) {
    if (perUser !== undefined) found.add(perUser.baseModel);
    for (const { adapter, rollout } of [...targets, ...fallback]) {
      const named =
        adapter ??
        (rollout === undefined
          ? undefined
          : objects.rollouts.get(objectKey(metadata.namespace, rollout))?.object?.spec.adapter);
      const base = named === undefined ? undefined : bases.get(objectKey(metadata.namespace, named));
      if (base !== undefined) found.add(base);
    }
  }
  const [only] = found;
  return found.size === 1 ? only : undefined;
};

/**
 * Every name of an Adapter, a rollout and a route, as `namespace/name`, and plain where it means the same everywhere. Gateways know no
 * namespaces: a plain name of two of them, or that of a base model, is left out.
 */
export const modelNames = (objects: Named, claims: Claims): ModelNames => {
  const has = (object: Manifest): boolean => claims.conflictOf(object) === undefined;
  const bases = new Map<ObjectKey, string>();
  const names = new Map<ObjectKey, string>();
  for (const adapter of present(objects.adapters.list())) {
    bases.set(keyOf(adapter), adapter.spec.baseModel);
    if (has(adapter)) names.set(keyOf(adapter), adapter.spec.baseModel);
  }
  for (const rollout of present(objects.rollouts.list())) {
    const base = bases.get(objectKey(rollout.metadata.namespace, rollout.spec.adapter));
    if (base !== undefined && has(rollout)) names.set(keyOf(rollout), base);
  }
  for (const route of present(objects.routes.list())) {
    const base = baseOfRoute(route, bases, objects);
    if (base !== undefined && has(route))
      names.set(objectKey(route.metadata.namespace, clientNameOf(route)), base);
  }
  const plain = Map.groupBy(names.keys(), plainName);
  const reserved = new Set(bases.values());
  const listed = new Map<string, string[]>();
  for (const [key, base] of names) {
    const own = listed.get(base) ?? [];
    listed.set(base, own);
    own.push(key);
    const name = plainName(key);
    if (plain.get(name)?.length === 1 && !reserved.has(name)) own.push(name);
  }
  return new Map([...listed].map(([base, some]) => [base, some.toSorted()]));
};

export const plainName = (key: ObjectKey): string => key.slice(namespaceOf(key).length + 1);

/** The first 12 hexadecimal digits of the SHA-256: part of a name that any text may be behind. */
export const shortHash = (text: string): string =>
  createHash('sha256').update(text).digest('hex').slice(0, 12);

/** What a ConfigMap is to hold, by its name. */
export type ModelMaps = ReadonlyMap<string, { readonly baseModel: string; readonly adapters: string }>;

/** Bytes of the list in one ConfigMap: the API server takes 1 MiB of all of it. */
const maxListBytes = 900_000;

/**
 * The ConfigMaps that body-based routers of the Gateway API Inference Extension read: `baseModel`, and `adapters` as a YAML list.
 * Several for one base model are allowed.
 */
export const modelMaps = (names: ModelNames, maxBytes = maxListBytes): ModelMaps => {
  const maps = new Map<string, { baseModel: string; adapters: string }>();
  for (const [baseModel, some] of names) {
    let [index, adapters] = [0, ''];
    const close = (): void => {
      maps.set(`adaptlet-models-${shortHash(baseModel)}-${index}`, { baseModel, adapters });
      [index, adapters] = [index + 1, ''];
    };
    for (const name of some) {
      // Quoted: YAML would read a name such as 123 or true as something else.
      const line = `- ${JSON.stringify(name)}\n`;
      if (adapters !== '' && adapters.length + line.length > maxBytes) close();
      adapters += line;
    }
    close();
  }
  return maps;
};
