import type { Digest } from '../../api/names.ts';
import { type Scope, scopeOf } from '../objects/scope.ts';
import type { RuntimeState } from './fleet.ts';

type Build = {
  readonly count: number;
  /** Of its OCI manifest, as one of its runtimes says. */
  readonly manifest: Digest | '';
};

/** Builds of each base model by scope and name, then by the digest of the files that decide its answers. */
export type ModelCensus = ReadonlyMap<string, ReadonlyMap<Digest, Build>>;

/** How the base model of a runtime compares with those of the same name elsewhere. */
export type ModelVerdict =
  /** Its digest is not known yet. */
  | { readonly kind: 'Unknown' }
  | { readonly kind: 'Same' }
  /** Other runtimes agree on another build. */
  | { readonly kind: 'Other'; readonly digest: Digest; readonly manifest: Digest | '' }
  /** No build is on more runtimes than every other. */
  | { readonly kind: 'Divided'; readonly builds: number };

/**
 * Counts the base models of connected runtimes. A pod is compared with those of its namespace and with nodes, a node
 * with nodes alone: what a pod says of itself is no concern of others.
 */
export const censusOf = (runtimes: Iterable<RuntimeState>): ModelCensus => {
  const census = new Map<string, Map<Digest, Build>>();
  for (const { key, kind, connected, info, model } of runtimes) {
    const { baseModel, baseDigest } = info;
    if (!connected || baseDigest === '') continue;
    const name = nameOf(scopeOf(kind, key), baseModel);
    const builds = census.get(name) ?? new Map<Digest, Build>();
    census.set(name, builds);
    const { count = 0, manifest = '' } = builds.get(baseDigest) ?? {};
    builds.set(baseDigest, { count: count + 1, manifest: manifest || (model?.manifestDigest ?? '') });
  }
  return census;
};

const nameOf = (scope: Scope, baseModel: string): string => `${scope ?? ''}/${baseModel}`;

/** The builds of a model that a runtime with this name is compared with, the one that most runtimes have first. */
const ranked = (census: ModelCensus, name: string): readonly (readonly [Digest, Build])[] => {
  const builds = new Map(census.get(name));
  const ofNodes = name.slice(name.indexOf('/'));
  if (ofNodes !== name) {
    for (const [digest, { count, manifest }] of census.get(ofNodes) ?? []) {
      const own = builds.get(digest) ?? { count: 0, manifest: '' as const };
      builds.set(digest, { count: own.count + count, manifest: manifest || own.manifest });
    }
  }
  return [...builds].sort(([, a], [, b]) => b.count - a.count);
};

/** Compares by content: however a model was packed, the same files are the same model. */
export const verdictOf = (
  census: ModelCensus,
  { key, kind, info }: Pick<RuntimeState, 'key' | 'kind' | 'info'>,
): ModelVerdict => {
  const { baseModel, baseDigest } = info;
  if (baseDigest === '') return { kind: 'Unknown' };
  const builds = ranked(census, nameOf(scopeOf(kind, key), baseModel));
  const [first, second] = builds;
  if (first === undefined || second === undefined) return { kind: 'Same' };
  if (first[1].count === second[1].count) return { kind: 'Divided', builds: builds.length };
  const [digest, { manifest }] = first;
  return digest === baseDigest ? { kind: 'Same' } : { kind: 'Other', digest, manifest };
};

/** Equal as long as the verdict about each build is. */
export const signOf = (census: ModelCensus): string =>
  JSON.stringify(
    [...census.keys()].sort().map((name) => {
      const builds = ranked(census, name);
      const [first, second] = builds;
      return first?.[1].count === second?.[1].count ? [name, builds.length] : [name, first?.[0]];
    }),
  );

/** Connected runtimes whose base model is not the one that most have under its name. */
export const othersIn = (runtimes: readonly RuntimeState[]): number => {
  const census = censusOf(runtimes);
  return runtimes.filter(
    (state) => state.connected && ['Other', 'Divided'].includes(verdictOf(census, state).kind),
  ).length;
};
