import { nameSchema, namespaceSchema, type ObjectKey, objectKey } from '../../api/names.ts';
import { nearest } from '../../api/nearest.ts';
import { AdaptletError } from '../../errors/adaptlet-error.ts';
import { quoteUntrusted } from '../../errors/quote-untrusted.ts';
import type { AdapterResource, SplitResource } from '../../plan/resources.ts';
import type { NamespaceNames, RouteEntry, RoutingTable } from './table.ts';

/** What the name that a client sent as `model` stands for. */
export type Resolved =
  | { readonly kind: 'route'; readonly route: RouteEntry }
  | { readonly kind: 'rollout'; readonly split: SplitResource }
  | { readonly kind: 'adapter'; readonly adapter: AdapterResource }
  | { readonly kind: 'base' };

type Kind = Resolved['kind'];

const prefixes: readonly Kind[] = ['route', 'rollout', 'adapter', 'base'];

/**
 * Finds what `model` stands for. Forms: `name`, `namespace/name`, each with `route:`, `rollout:`, `adapter:` or `base:`
 * before it. A plain name is the base model's (reserved), else that of a route, a rollout, an adapter, in this order.
 * @throws MODEL_NOT_FOUND, with the nearest names of the namespace that was asked for and of no other
 */
export const resolve = (table: RoutingTable, callersNamespace: string, model: string): Resolved => {
  const { kind, namespace, name } = readName(model, callersNamespace);
  const found = find(table, kind, namespace ?? callersNamespace, name, namespace === undefined);
  if (found !== undefined) return found;
  throw notFound(table, model, kind, namespace ?? callersNamespace, name);
};

/** The route that `model` stands for; undefined: it stands for something else, or for nothing. */
export const routeAskedFor = (
  table: RoutingTable,
  callersNamespace: string,
  model: string,
): RouteEntry | undefined => {
  const { kind, namespace, name } = readName(model, callersNamespace);
  const found = find(table, kind, namespace ?? callersNamespace, name, namespace === undefined);
  return found?.kind === 'route' ? found.route : undefined;
};

/**
 * The Adapter that `model` may stand for, when it is well formed; undefined for every name that can be none. For
 * looking it up elsewhere: what clients send goes no further unchecked.
 */
export const adapterAskedFor = (callersNamespace: string, model: string): ObjectKey | undefined => {
  const { kind, namespace = callersNamespace, name } = readName(model, callersNamespace);
  if (kind !== undefined && kind !== 'adapter') return undefined;
  const wellFormed = namespaceSchema.safeParse(namespace).success && nameSchema.safeParse(name).success;
  return wellFormed ? objectKey(namespace, name) : undefined;
};

/** The namespace that `model` names itself, or undefined. */
export const namespaceIn = (model: string): string | undefined => {
  const { namespace } = readName(model, '');
  return namespace === '' ? undefined : namespace;
};

type ModelName = {
  readonly kind: Kind | undefined;
  readonly namespace: string | undefined;
  readonly name: string;
};

const readName = (model: string, callersNamespace: string): ModelName => {
  const kind = prefixes.find((prefix) => model.startsWith(`${prefix}:`));
  const rest = kind === undefined ? model : model.slice(kind.length + 1);
  const slash = rest.indexOf('/');
  if (slash < 0) return { kind, namespace: undefined, name: rest };
  const namespace = rest.slice(0, slash);
  return { kind, namespace: namespace === '' ? callersNamespace : namespace, name: rest.slice(slash + 1) };
};

const find = (
  { base, namespaces }: RoutingTable,
  kind: Kind | undefined,
  namespace: string,
  name: string,
  isPlain: boolean,
): Resolved | undefined => {
  // The base model belongs to no namespace.
  if (isPlain && name === base.name && (kind === undefined || kind === 'base')) return { kind: 'base' };
  const names = namespaces.get(namespace);
  if (names === undefined) return undefined;
  const wants = (one: Kind): boolean => kind === undefined || kind === one;
  const route = wants('route') ? names.routes.get(name) : undefined;
  if (route !== undefined) return { kind: 'route', route };
  const split = wants('rollout') ? names.rollouts.get(name) : undefined;
  if (split !== undefined) return { kind: 'rollout', split };
  const adapter = wants('adapter') ? names.adapters.get(name) : undefined;
  return adapter === undefined ? undefined : { kind: 'adapter', adapter };
};

/** Every name of a kind, or of all kinds, in the order in which they are looked up. */
function* namesOf(
  base: string,
  names: NamespaceNames | undefined,
  kind: Kind | undefined,
): Generator<string> {
  if (kind === undefined || kind === 'route') yield* names?.routes.keys() ?? [];
  if (kind === undefined || kind === 'rollout') yield* names?.rollouts.keys() ?? [];
  if (kind === undefined || kind === 'adapter') yield* names?.adapters.keys() ?? [];
  if (kind === undefined || kind === 'base') yield base;
}

const notFound = (
  { base, namespaces }: RoutingTable,
  model: string,
  kind: Kind | undefined,
  namespace: string,
  name: string,
): AdaptletError => {
  const all = new Set(namesOf(base.name, namespaces.get(namespace), kind));
  const near = nearest(name, all, 3);
  const some = [...all].slice(0, 5);
  const more = all.size > some.length ? ` and ${all.size - some.length} more` : '';
  const offer =
    near.length > 0
      ? `the nearest ${near.length === 1 ? 'name is' : 'names are'} ${near.join(', ')}`
      : some.length > 0
        ? `it has ${some.join(', ')}${more}`
        : 'it has none';
  const what = `there is no ${kind ?? 'model'} ${quoteUntrusted(model)} in the namespace ${quoteUntrusted(namespace)}; ${offer}`;
  return new AdaptletError('MODEL_NOT_FOUND', what);
};
