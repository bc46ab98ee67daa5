import type { SavedTokens } from '../session/kv-rows.ts';

/** Tokens of a block. A block that is full can have others behind it. */
export const blockTokens = 64;

type Place = { readonly children: Map<string, Block> };
type Block = Place & {
  readonly parent: Place;
  /** The namespace that it is kept for. */
  readonly owner: string;
  readonly ids: readonly number[];
  readonly saved: SavedTokens;
  /** When it was used last. */
  used: number;
};

/** What is saved of a beginning: blocks one after the other, and how many tokens of each are wanted. */
export type SavedPrefix = {
  readonly tokens: number;
  readonly parts: readonly { readonly saved: SavedTokens; readonly tokens: number }[];
};

/** How many tokens two texts begin with are the same. */
export const commonLength = (a: readonly number[], b: readonly number[], from = 0): number => {
  const end = Math.min(a.length, b.length - from);
  for (let at = 0; at < end; at += 1) if (a[at] !== b[from + at]) return at;
  return end;
};

/** The whole text begins with these tokens. */
export const isWithin = (ids: readonly number[], whole: readonly number[]): boolean =>
  ids.length <= whole.length && commonLength(ids, whole) === ids.length;

const nameOf = (ids: readonly number[]): string => ids.join(' ');

/**
 * Beginnings whose keys and values are saved outside of rows, by key: a tree of blocks, so what several begin with is held
 * once. Blocks are found by their tokens themselves, not by a hash of them.
 */
export class PrefixTree {
  readonly #roots = new Map<string, Place>();
  readonly #blocks = new Set<Block>();
  #bytes = 0;

  get bytes(): number {
    return this.#bytes;
  }

  get blocks(): number {
    return this.#blocks.size;
  }

  /** The longest beginning of these tokens that is saved under a key. */
  find(key: string, ids: readonly number[]): SavedPrefix {
    const path = this.#path(key, ids);
    const parts = path.map(({ block, tokens }) => ({ saved: block.saved, tokens }));
    return { tokens: parts.reduce((sum, { tokens }) => sum + tokens, 0), parts };
  }

  /** Its blocks were used now. */
  touch(key: string, ids: readonly number[], now: number): void {
    for (const { block } of this.#path(key, ids)) block.used = now;
  }

  /**
   * Saves what is not there yet of these tokens, which were used last at `now`, by blocks from the first on, until `save` gives
   * none.
   */
  insert(
    key: string,
    ids: readonly number[],
    {
      owner,
      now,
      save,
    }: {
      readonly owner: string;
      readonly now: number;
      readonly save: (from: number, tokens: number) => SavedTokens | undefined;
    },
  ): void {
    // Others that begin so may have used the same blocks since.
    for (const { block } of this.#path(key, ids)) block.used = Math.max(block.used, now);
    let place = this.#roots.get(key) ?? { children: new Map<string, Block>() };
    for (let from = 0; from < ids.length; from += blockTokens) {
      const own = ids.slice(from, from + blockTokens);
      const known =
        place.children.get(nameOf(own)) ??
        place.children.values().find((child) => commonLength(own, child.ids) === own.length);
      if (known !== undefined) {
        place = known;
        continue;
      }
      const saved = save(from, own.length);
      if (saved === undefined) return;
      // What it begins with is of no more use beside it. `save` may have dropped blocks, but none of this path.
      const replaced = [...place.children.values()].filter(({ ids: theirs }) => isWithin(theirs, own));
      for (const child of replaced) this.#drop(child);
      const used = Math.max(now, ...replaced.map((child) => child.used));
      const block: Block = { parent: place, owner, ids: own, saved, used, children: new Map() };
      place.children.set(nameOf(own), block);
      if (from === 0) this.#roots.set(key, place);
      this.#blocks.add(block);
      this.#bytes += saved.bytes;
      place = block;
    }
  }

  /** Of each owner, when the block that was used longest ago, of those with none behind them, was used, and the bytes of all. */
  owners(): ReadonlyMap<string, { readonly oldest: number; readonly bytes: number }> {
    const owners = new Map<string, { oldest: number; bytes: number }>();
    for (const { owner, saved, used, children } of this.#blocks) {
      const one = owners.get(owner) ?? { oldest: Infinity, bytes: 0 };
      if (children.size === 0) one.oldest = Math.min(one.oldest, used);
      one.bytes += saved.bytes;
      owners.set(owner, one);
    }
    return owners;
  }

  dropOldest(owner: string): void {
    let oldest: Block | undefined;
    for (const block of this.#blocks) {
      if (block.owner !== owner || block.children.size > 0) continue;
      if (oldest === undefined || block.used < oldest.used) oldest = block;
    }
    if (oldest !== undefined) this.#drop(oldest);
  }

  release(): void {
    for (const { saved } of this.#blocks) saved.release();
    this.#blocks.clear();
    this.#roots.clear();
    this.#bytes = 0;
  }

  #path(key: string, ids: readonly number[]): readonly { readonly block: Block; readonly tokens: number }[] {
    const path: { readonly block: Block; readonly tokens: number }[] = [];
    let place = this.#roots.get(key);
    for (let from = 0; place !== undefined; from += blockTokens) {
      const whole = place.children.get(nameOf(ids.slice(from, from + blockTokens)));
      const block = whole ?? bestOf(place.children.values(), ids, from);
      const tokens = block === undefined ? 0 : commonLength(block.ids, ids, from);
      if (block === undefined || tokens === 0) break;
      path.push({ block, tokens });
      place = tokens === blockTokens ? block : undefined;
    }
    return path;
  }

  #drop(block: Block): void {
    block.saved.release();
    block.parent.children.delete(nameOf(block.ids));
    this.#blocks.delete(block);
    this.#bytes -= block.saved.bytes;
    for (const [key, root] of this.#roots) {
      if (root === block.parent && root.children.size === 0) this.#roots.delete(key);
    }
  }
}

/** Of these blocks the one that has most of the tokens from `from` on. */
const bestOf = (blocks: Iterable<Block>, ids: readonly number[], from: number): Block | undefined => {
  let best: Block | undefined;
  let most = 0;
  for (const block of blocks) {
    const tokens = commonLength(block.ids, ids, from);
    if (tokens > most) [best, most] = [block, tokens];
  }
  return best;
};
