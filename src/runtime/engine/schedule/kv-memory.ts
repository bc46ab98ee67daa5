import { copyBytes, type KvRows, type SavedTokens } from '../session/kv-rows.ts';

/** Keys and values of a request that is over, for the next one of its conversation. */
type Prefix = { readonly ids: readonly number[]; readonly saved: SavedTokens };

/** Fewer are computed faster than they are looked after. */
const minTokens = 16;

const sum = (numbers: Iterable<number>): number => {
  let total = 0;
  for (const number of numbers) total += number;
  return total;
};

const commonLength = (a: readonly number[], b: readonly number[]): number => {
  const end = Math.min(a.length, b.length);
  for (let at = 0; at < end; at += 1) if (a[at] !== b[at]) return at;
  return end;
};

/**
 * The memory budget of keys and values. What runs has its worst case reserved, what is paused is saved elsewhere; the
 * rest of the budget keeps prefixes of conversations, the latest ones.
 *
 * Guarantees: the bytes that rows, paused sequences and prefixes take together stay within the budget, also while some are
 * copied; a free row between two that are reserved counts with the page per head that it takes when it rides along in
 * a step. Prefixes make way for requests, never the other way round.
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
    return this.#usedBytes() + this.#pausedBytes();
  }

  /** Bytes that are reserved or saved for requests. */
  get claimedBytes(): number {
    return sum(this.#reserved.values()) + this.#pausedBytes();
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
    const comesBack = this.#paused.has(owner);
    const copies = comesBack ? copyBytes : 0;
    const claims = this.#claims(new Map(this.#reserved).set(row, needed), owner);
    if (claims + copies > this.#budgetBytes) return false;
    if (comesBack) this.#kv.discard(row);
    this.#take(row, needed);
    this.#makeRoom(this.#pausedBytes(owner) + copies, comesBack ? undefined : spared);
    return true;
  }

  /** A sequence goes to a free row, with its first tokens; false when there is no room to copy them. */
  move(from: number, to: number, tokens: number): boolean {
    const bytes = this.#reserved.get(from) ?? 0;
    const moved = new Map(this.#reserved).set(to, bytes);
    moved.delete(from);
    this.#kv.discard(to);
    if (this.#claims(moved) > this.#budgetBytes || !this.#roomToCopy(from)) return false;
    this.#reserved.delete(from);
    this.#reserved.set(to, bytes);
    this.#kv.move(from, to, tokens);
    this.#makeRoom(this.#pausedBytes());
    return true;
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
    const left = new Map(this.#reserved);
    for (const { row } of rows) left.delete(row);
    const saved = sum(rows.map((paused) => this.#kv.savedBytes(paused.tokens)));
    return this.#claims(left, owner) + saved + this.#kv.bytesFor(tokens) <= this.#budgetBytes;
  }

  /** True when a sequence can be paused, and all that are paused come back once nothing runs. */
  canPause(row: number, tokens: number): boolean {
    const left = new Map(this.#reserved);
    left.delete(row);
    const saved = this.#kv.savedBytes(tokens);
    const needs = [...this.#paused.values()].map(({ needed }) => needed);
    const comingBack = this.#pausedBytes() + saved + Math.max(this.#reserved.get(row) ?? 0, ...needs);
    const held = sum([...this.#reserved.keys()].map((reserved) => this.#kv.heldBytes(reserved)));
    return (
      comingBack + copyBytes <= this.#budgetBytes &&
      this.#claims(left) + saved <= this.#budgetBytes &&
      held + this.#pausedBytes() + copyBytes <= this.#budgetBytes
    );
  }

  /** Saves the first tokens of a row for `owner`, who gives up the row; one that {@link canPause}. */
  pause(owner: object, row: number, tokens: number): void {
    const needed = this.#reserved.get(row) ?? 0;
    this.#roomToCopy(row);
    this.#paused.set(owner, { saved: this.#kv.save(row, tokens), needed });
    this.free(row);
    this.#makeRoom(this.#pausedBytes());
  }

  /** Puts what was saved for an owner into a row: how many tokens are there now. */
  resume(owner: object, row: number): number {
    const paused = this.#paused.get(owner);
    if (paused === undefined) return 0;
    this.#kv.restore(row, paused.saved, { last: true });
    const { tokens } = paused.saved;
    this.forget(owner);
    return tokens;
  }

  /** What was saved for an owner is not needed any more. */
  forget(owner: object): void {
    this.#paused.get(owner)?.saved.release();
    this.#paused.delete(owner);
  }

  /** Keeps the first tokens of a free row, which are `ids`, under a key, where the budget has room. */
  keep(key: string, ids: readonly number[], row: number): void {
    this.#drop(key);
    if (ids.length >= minTokens && this.#roomToCopy(row)) {
      this.#prefixes.set(key, { ids, saved: this.#kv.save(row, ids.length) });
    }
    this.#makeRoom(this.#pausedBytes());
  }

  /**
   * Puts what is kept under a key and begins like `ids` into a row that was just reserved: how many tokens are there now.
   * At least one is left to be run: its logits are needed. Where there is no room for both, it is kept no longer.
   */
  reuse(key: string, ids: readonly number[], row: number): number {
    const prefix = this.#prefixes.get(key);
    if (prefix === undefined) return 0;
    const tokens = Math.min(commonLength(prefix.ids, ids), ids.length - 1);
    const reused = tokens >= minTokens && this.#restore(key, prefix, row, tokens) ? tokens : 0;
    this.#makeRoom(this.#pausedBytes());
    return reused;
  }

  /** Between steps. */
  release(): void {
    for (const owner of this.#paused.keys()) this.forget(owner);
    for (const key of this.#prefixes.keys()) this.#drop(key);
  }

  /** False when there is no room to copy it. */
  #restore(key: string, { ids, saved }: Prefix, row: number, tokens: number): boolean {
    this.#prefixes.delete(key);
    // The latest last.
    this.#prefixes.set(key, { ids, saved });
    if (this.usedBytes <= this.#budgetBytes) {
      this.#kv.restore(row, saved, { tokens });
      return true;
    }
    this.#kv.discard(row);
    const grows = Math.max(0, this.#kv.bytesFor(tokens) - saved.bytes);
    const fits = this.#roomToCopy(row, { grows, spared: key });
    if (fits) this.#kv.restore(row, saved, { tokens, last: true });
    this.#drop(key);
    return fits;
  }

  /** What requests claim with such rows reserved, and what is saved for all but one. */
  #claims(reserved: ReadonlyMap<number, number>, without?: object): number {
    const rows = [...reserved.keys()];
    const span = rows.length === 0 ? 0 : Math.max(...rows) - Math.min(...rows) + 1;
    const riding = (span - rows.length) * this.#kv.bytesFor(1);
    return sum(reserved.values()) + riding + this.#pausedBytes(without);
  }

  /** What is saved for all but one. */
  #pausedBytes(without?: object): number {
    let bytes = 0;
    for (const [owner, { saved }] of this.#paused) if (owner !== without) bytes += saved.bytes;
    return bytes;
  }

  /** Of rows and prefixes, but for one of them. */
  #usedBytes(spared?: string): number {
    const taken = [...this.#reserved.keys()];
    const [first, last] = [Math.min(...taken), Math.max(...taken)];
    const riding = this.#kv.bytesFor(1);
    let bytes = this.#prefixBytes(spared);
    for (let row = 0; row < this.#kv.rows; row += 1) {
      const claimed = this.#reserved.get(row) ?? (row > first && row < last ? riding : 0);
      bytes += Math.max(claimed, this.#kv.heldBytes(row));
    }
    return bytes;
  }

  #prefixBytes(spared?: string): number {
    let bytes = 0;
    for (const [key, { saved }] of this.#prefixes) if (key !== spared) bytes += saved.bytes;
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

  /** So that so many bytes beside rows and prefixes are within the budget. */
  #makeRoom(beside: number, spared?: string): void {
    this.#giveBack(() => this.#usedBytes(spared) + beside <= this.#budgetBytes, { spared });
  }

  /**
   * Makes room for what a copy out of a row, or into it, takes beside what is there, as far as that is possible: true when
   * it is. `grows`: bytes that there will be more.
   */
  #roomToCopy(row: number, { grows = 0, spared }: { grows?: number; spared?: string } = {}): boolean {
    const fits = (): boolean => {
      let held = this.#prefixBytes() + this.#pausedBytes() + grows + copyBytes;
      for (let at = 0; at < this.#kv.rows; at += 1) held += this.#kv.heldBytes(at);
      return held <= this.#budgetBytes;
    };
    this.#giveBack(fits, { row, spared });
    return fits();
  }

  /** Free rows give their memory back first, then the prefixes that were used longest ago. */
  #giveBack(
    isEnough: () => boolean,
    { row: keptRow, spared }: { readonly row?: number; readonly spared?: string | undefined },
  ): void {
    for (let row = 0; row < this.#kv.rows && !isEnough(); row += 1) {
      if (!this.#reserved.has(row) && row !== keptRow) this.#kv.discard(row);
    }
    for (const key of this.#prefixes.keys()) {
      if (isEnough()) return;
      if (key !== spared) this.#drop(key);
    }
  }
}
