import type { KvRows, SavedTokens } from '../session/kv-rows.ts';

/** Keys and values of a request that is over, for the next one of its conversation. */
type Prefix = { readonly ids: readonly number[]; readonly saved: SavedTokens };

/** Fewer are computed faster than they are looked after. */
const minTokens = 16;

const commonLength = (a: readonly number[], b: readonly number[]): number => {
  const end = Math.min(a.length, b.length);
  for (let at = 0; at < end; at += 1) if (a[at] !== b[at]) return at;
  return end;
};

/**
 * The memory budget of keys and values. What runs has its worst case reserved, what is paused is saved elsewhere; the
 * rest of the budget keeps prefixes of conversations, the latest ones.
 *
 * Guarantees: the bytes that rows, paused sequences and prefixes take together stay within the budget, but for a page per
 * head of each free row that rides along in a step, until something is reserved next; prefixes make way for requests,
 * never the other way round.
 */
export class KvMemory {
  readonly #kv: KvRows;
  readonly #budgetBytes: number;
  /** By row. */
  readonly #reserved = new Map<number, number>();
  /** What is saved for whom, and the bytes of a row that they will need again. */
  readonly #paused = new Map<object, { readonly saved: SavedTokens; readonly needed: number }>();
  /** By scope and adapter, the latest last. */
  readonly #prefixes = new Map<string, Prefix>();

  constructor(kv: KvRows, budgetBytes: number) {
    this.#kv = kv;
    this.#budgetBytes = budgetBytes;
  }

  /** Bytes that are reserved or held. */
  get usedBytes(): number {
    let bytes = 0;
    for (let row = 0; row < this.#kv.rows; row += 1) {
      bytes += Math.max(this.#reserved.get(row) ?? 0, this.#kv.heldBytes(row));
    }
    for (const { saved } of this.#paused.values()) bytes += saved.bytes;
    for (const { saved } of this.#prefixes.values()) bytes += saved.bytes;
    return bytes;
  }

  /** Bytes that are reserved or saved for requests. */
  get claimedBytes(): number {
    return this.#reservedBytes() + this.#pausedBytes();
  }

  get prefixes(): number {
    return this.#prefixes.size;
  }

  /**
   * Reserves room in a free row for `owner`, a sequence of so many tokens; false when others have to end first. What is
   * saved for it goes into the row and does not count; nor does what is kept under `spared`, until {@link reuse} took it.
   */
  reserve(owner: object, row: number, tokens: number, spared?: string): boolean {
    const needed = this.#kv.bytesFor(tokens);
    if (this.#reservedBytes() + this.#pausedBytes(owner) + needed > this.#budgetBytes) return false;
    this.#take(row, needed);
    this.#makeRoom(spared);
    return true;
  }

  /** A sequence goes to a free row, with its first tokens. */
  move(from: number, to: number, tokens: number): void {
    this.#take(to, this.#reserved.get(from) ?? 0);
    this.#reserved.delete(from);
    this.#kv.move(from, to, tokens);
    this.#makeRoom();
  }

  free(row: number): void {
    this.#reserved.delete(row);
  }

  /** True when there would be room for `owner`, a sequence of so many tokens, once these rows were paused. */
  fitsWithout(
    owner: object,
    tokens: number,
    rows: readonly { readonly row: number; readonly tokens: number }[],
  ): boolean {
    const claimed = this.#reservedBytes() + this.#pausedBytes(owner);
    const gained = rows.reduce(
      (sum, paused) => sum + (this.#reserved.get(paused.row) ?? 0) - paused.tokens * this.#kv.tokenBytes,
      0,
    );
    return claimed - gained + this.#kv.bytesFor(tokens) <= this.#budgetBytes;
  }

  /** True when a sequence can be paused, and all that are paused come back once nothing runs. */
  canPause(row: number, tokens: number): boolean {
    const saved = this.#pausedBytes() + tokens * this.#kv.tokenBytes;
    const needs = [...this.#paused.values()].map(({ needed }) => needed);
    return saved + Math.max(this.#reserved.get(row) ?? 0, ...needs) <= this.#budgetBytes;
  }

  /** Saves the first tokens of a row for `owner`, who gives up the row. */
  pause(owner: object, row: number, tokens: number): void {
    const needed = this.#reserved.get(row) ?? 0;
    this.#paused.set(owner, { saved: this.#kv.save(row, tokens), needed });
    this.free(row);
    this.#makeRoom();
  }

  /** Puts what was saved for an owner into a row: how many tokens are there now. */
  resume(owner: object, row: number): number {
    const paused = this.#paused.get(owner);
    if (paused === undefined) return 0;
    this.#kv.restore(row, paused.saved);
    const { tokens } = paused.saved;
    this.forget(owner);
    return tokens;
  }

  /** What was saved for an owner is not needed any more. */
  forget(owner: object): void {
    this.#paused.get(owner)?.saved.release();
    this.#paused.delete(owner);
  }

  /** Keeps the first tokens of a row, which are `ids`, under a key, where the budget has room. */
  keep(key: string, ids: readonly number[], row: number): void {
    this.#drop(key);
    if (ids.length < minTokens) return;
    this.#prefixes.set(key, { ids, saved: this.#kv.save(row, ids.length) });
    this.#makeRoom();
  }

  /**
   * Puts what is kept under a key and begins like `ids` into a row: how many tokens are there now. At least one is left to
   * be run: its logits are needed.
   */
  reuse(key: string, ids: readonly number[], row: number): number {
    const prefix = this.#prefixes.get(key);
    if (prefix === undefined) return 0;
    const tokens = Math.min(commonLength(prefix.ids, ids), ids.length - 1);
    if (tokens >= minTokens) {
      this.#kv.restore(row, prefix.saved, tokens);
      // The latest last.
      this.#prefixes.delete(key);
      this.#prefixes.set(key, prefix);
    }
    this.#makeRoom();
    return tokens >= minTokens ? tokens : 0;
  }

  /** Between steps. */
  release(): void {
    for (const owner of this.#paused.keys()) this.forget(owner);
    for (const key of this.#prefixes.keys()) this.#drop(key);
  }

  #reservedBytes(): number {
    return [...this.#reserved.values()].reduce((sum, bytes) => sum + bytes, 0);
  }

  /** What is saved for all but one. */
  #pausedBytes(without?: object): number {
    let bytes = 0;
    for (const [owner, { saved }] of this.#paused) if (owner !== without) bytes += saved.bytes;
    return bytes;
  }

  /** Reserves bytes in a free row. */
  #take(row: number, bytes: number): void {
    // More was written there for somebody else.
    if (this.#kv.heldBytes(row) > bytes) this.#kv.discard(row);
    this.#reserved.set(row, bytes);
  }

  #drop(key: string): void {
    this.#prefixes.get(key)?.saved.release();
    this.#prefixes.delete(key);
  }

  /** Free rows give their memory back first, then the prefixes that were used longest ago. */
  #makeRoom(spared?: string): void {
    for (let row = 0; row < this.#kv.rows && this.usedBytes > this.#budgetBytes; row += 1) {
      if (!this.#reserved.has(row)) this.#kv.discard(row);
    }
    for (const key of this.#prefixes.keys()) {
      if (this.usedBytes <= this.#budgetBytes) return;
      if (key !== spared) this.#drop(key);
    }
  }
}
