import { createHash } from 'node:crypto';
import type { Plan } from '../plan/resources.ts';
import { partHashesOf, partsFor } from './parts.ts';
import type { Selection } from './selection.ts';

/** Of something that is held, or of a plan. */
type Version = { readonly version: string };

/**
 * What a Hello says instead of a list of what is held: SHA-256 of a line `key version` for each, in the order of keys.
 * Whoever holds something else has another one; keys and versions have no line feed.
 */
export const heldHashOf = (held: Iterable<readonly [string, Version]>): Buffer => {
  const sorted = [...held].sort(([a], [b]) => (a < b ? -1 : Number(a > b)));
  let lines = '';
  for (const [key, version] of sorted) lines += lineOf(key, version);
  return createHash('sha256').update(lines).digest();
};

const lineOf = (key: string, { version }: Version): string => `${key} ${version}\n`;

/** The same of each part of what is held; see {@link partHashesOf}. */
export const heldPartHashes = (held: ReadonlyMap<string, Version>, parts: number): Buffer[] =>
  partHashesOf(
    [...held].map(([key, version]) => [key, lineOf(key, version)] as const),
    parts,
  );

const partHashes = new WeakMap<Plan, readonly Buffer[]>();

const partHashesOfPlan = (plan: Plan): readonly Buffer[] => {
  const parts = partsFor(plan.size);
  return parts === 0 ? [] : heldPartHashes(plan, parts);
};

/** The same of what a runtime is sent of a plan; none: it is too short for that. Computed once where that is what others are sent. */
export const layerPartHashes = ({ base, extra }: Layers): readonly Buffer[] => {
  if (extra.size > 0) return partHashesOfPlan(new Map([...base, ...extra]));
  const known = partHashes.get(base) ?? partHashesOfPlan(base);
  partHashes.set(base, known);
  return known;
};

const hashes = new WeakMap<Plan, Buffer>();

/** The same of a plan; computed once for all that have it. */
export const heldHashOfPlan = (plan: Plan): Buffer => {
  let hash = hashes.get(plan);
  if (hash === undefined) {
    hash = heldHashOf(plan);
    hashes.set(plan, hash);
  }
  return hash;
};

/** What a runtime is sent of one plan. */
export type Layers = Pick<Selection, 'base' | 'extra'>;

/** The same of all that a runtime is sent of a plan. */
export const heldHashOfLayers = ({ base, extra }: Layers): Buffer =>
  extra.size === 0 ? heldHashOfPlan(base) : heldHashOf([...base, ...extra]);

const noPlan: Plan = new Map();
export const noLayers: Layers = { base: noPlan, extra: noPlan };

/**
 * The versions that one runtime holds, as what it was sent of a plan, and where it has something else. Most have exactly
 * what others have: they share it.
 */
export class HeldVersions {
  #layers: Layers;
  /** Undefined: not held. */
  #own: Map<string, string | undefined>;

  constructor(layers: Layers, own: ReadonlyMap<string, string | undefined> = new Map()) {
    this.#layers = layers;
    this.#own = new Map(own);
  }

  get layers(): Layers {
    return this.#layers;
  }

  /** Keys at which it may not hold what the layers have. */
  get unlike(): Iterable<string> {
    return this.#own.keys();
  }

  get(key: string): string | undefined {
    if (this.#own.has(key)) return this.#own.get(key);
    return (this.#layers.extra.get(key) ?? this.#layers.base.get(key))?.version;
  }

  set(key: string, version: string | undefined): void {
    this.#own.set(key, version);
  }

  /** The same, as what it has of other layers: it holds these, except at the keys of `unlike`. */
  rebase(layers: Layers, unlike: Iterable<string>): void {
    this.#own = new Map([...unlike].map((key) => [key, this.get(key)]));
    this.#layers = layers;
  }

  copy(): HeldVersions {
    return new HeldVersions(this.#layers, this.#own);
  }

  hash(): Buffer {
    if (this.#own.size === 0) return heldHashOfLayers(this.#layers);
    const { base, extra } = this.#layers;
    const all = new Map<string, Version>([...base, ...extra]);
    for (const [key, version] of this.#own) {
      if (version === undefined) all.delete(key);
      else all.set(key, { version });
    }
    return heldHashOf(all);
  }
}
