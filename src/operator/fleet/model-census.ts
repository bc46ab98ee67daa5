import type { Digest } from '../../api/names.ts';
import type { RuntimeState } from './fleet.ts';

type Build = {
  readonly count: number;
  /** Of its OCI manifest, as one of its runtimes says. */
  readonly manifest: Digest | '';
};

/** Builds of each base model by name, then by the digest of the files that decide its answers. */
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

/** Counts the base models of connected runtimes. */
export const censusOf = (runtimes: Iterable<RuntimeState>): ModelCensus => {
  const census = new Map<string, Map<Digest, Build>>();
  for (const { connected, info, model } of runtimes) {
    const { baseModel, baseDigest } = info;
    if (!connected || baseDigest === '') continue;
    const builds = census.get(baseModel) ?? new Map<Digest, Build>();
    census.set(baseModel, builds);
    const { count = 0, manifest = '' } = builds.get(baseDigest) ?? {};
    builds.set(baseDigest, { count: count + 1, manifest: manifest || (model?.manifestDigest ?? '') });
  }
  return census;
};

/** The builds of a model, the one that most runtimes have first. */
const ranked = (census: ModelCensus, baseModel: string): readonly (readonly [Digest, Build])[] =>
  [...(census.get(baseModel) ?? [])].sort(([, a], [, b]) => b.count - a.count);

/** Compares by content: however a model was packed, the same files are the same model. */
export const verdictOf = (census: ModelCensus, { info }: Pick<RuntimeState, 'info'>): ModelVerdict => {
  const { baseModel, baseDigest } = info;
  if (baseDigest === '') return { kind: 'Unknown' };
  const builds = ranked(census, baseModel);
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
