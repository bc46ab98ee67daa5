import { AdaptletError } from '../../../errors/adaptlet-error.ts';
import { copyBytes, type KvRows, type SavedTokens } from '../session/kv-rows.ts';
import { BytesByNamespace, byWorth, isSure, KvGuarantees } from './kv-guarantees.ts';
import { type KvOwner, type Taken, takenBy, tokensNow, withRoom } from './kv-owner.ts';
import { blockTokens, commonLength, isWithin, PrefixTree } from './prefix-tree.ts';

/** What a row was left with: a beginning that others may have. */
type Rest = Pick<KvOwner, 'kvKey' | 'flow'> & {
  readonly ids: readonly number[];
  /** When it was used last; for ever, while its owner is paused. */
  readonly used: number;
};

/** Fewer are computed faster than they are looked after. */
const minTokens = 16;
const maxBlocks = 4096;

/**
 * The memory budget of keys and values. A sequence that runs has what is there of it, by pages, and grows; the rest of the
 * budget keeps beginnings that later ones may have: in the rows where they are, and of rows that were needed, by blocks.
 *
 * Guarantees: the bytes that rows and blocks take together stay within the budget, also while some are copied; a free row
 * between two that are taken counts with what a step writes there when it rides along.
 *
 * What is kept makes way for what runs, of the namespace first that has most beyond what is guaranteed to it, rows included; the
 * beginnings of those that are paused after the others. What a namespace keeps within what is guaranteed to it makes way for its own
 * rows only, and else for a row that runs by itself.
 *
 * While memory is short there is a limit below the budget: more begins only by itself, and what is kept and not guaranteed goes.
 */
export class KvMemory {
  readonly #kv: KvRows;
  readonly #budgetBytes: number;
  /** As much as may be used now. */
  #limitBytes: number;
  /** By row, and the tokens that each has room for. */
  readonly #taken = new Map<number, Taken>();
  readonly #rests = new Map<number, Rest>();
  readonly #tree = new PrefixTree();
  readonly #guarantees = new KvGuarantees();
  #now = 0;

  constructor(kv: KvRows, budgetBytes: number) {
    this.#kv = kv;
    this.#budgetBytes = budgetBytes;
    this.#limitBytes = budgetBytes;
  }

  /** Less than the budget while memory is short. */
  limit(bytes: number): void {
    this.#limitBytes = Math.min(bytes, this.#budgetBytes);
    this.#makeRoom();
  }

  /** Of what is kept, what is guaranteed to nobody. */
  get sparableBytes(): number {
    const kept = this.#kept();
    return Math.max(0, kept.all - this.#guarantees.sureBytes(this.#rowsOf(this.#taken), kept));
  }

  /** Bytes that are taken or kept. */
  get usedBytes(): number {
    const taken = [...this.#taken.keys()];
    const [first, last] = [Math.min(...taken), Math.max(...taken)];
    let bytes = this.#tree.bytes;
    for (let row = 0; row < this.#kv.rows; row += 1) {
      // What a step writes into a free row that rides along is behind what the row keeps.
      const riding = row > first && row < last ? this.restingTokens(row) + 1 : 0;
      const needed = this.#kv.bytesFor(this.#taken.get(row)?.tokens ?? riding);
      bytes += Math.max(needed, this.#kv.heldBytes(row));
    }
    return bytes;
  }

  /** Bytes of what runs. */
  get claimedBytes(): number {
    return this.#taken.values().reduce((sum, { tokens }) => sum + this.#kv.bytesFor(tokens), 0);
  }

  /** Bytes that would let all that run do so, and a newcomer beside them. */
  neededFor(newcomer?: KvOwner): number {
    const taken = new Map(this.#taken);
    return this.#rowBytes(newcomer === undefined ? taken : taken.set(-1, takenBy(newcomer)), withRoom);
  }

  /** Bytes that a row that is taken needs for its next step. */
  bytesOf(row: number): number {
    const taken = this.#taken.get(row);
    return taken === undefined ? 0 : this.#kv.bytesFor(Math.max(taken.tokens, taken.owner.ids.length));
  }

  /** A newcomer that its namespace is sure to have room for beside its other rows. */
  isOwed(newcomer: KvOwner): boolean {
    const { namespace = '', kvGuaranteed = 0 } = newcomer.flow;
    if (kvGuaranteed === 0) return false;
    const rows = this.#rowsOf(new Map(this.#taken).set(-1, takenBy(newcomer)), withRoom);
    return rows.of(namespace) <= kvGuaranteed;
  }

  /** Tokens that are kept in a free row. */
  restingTokens(row: number): number {
    return this.#rests.get(row)?.ids.length ?? 0;
  }

  /** How much it costs to lose what a free row keeps: nothing, or more the later it was used, and most where it is guaranteed. */
  restCost(row: number): number {
    const rest = this.#rests.get(row);
    if (rest === undefined || this.#guarantees.none) return rest?.used ?? 0;
    return isSure({ ...rest, beyond: this.#beyond(rest.flow.namespace ?? '') }) ? Infinity : rest.used;
  }

  /** The free row that has most of what `owner` begins with, where that is more than elsewhere and little else is there. */
  restingRow(owner: KvOwner): number | undefined {
    const best = this.#best(owner);
    if (best.row === undefined || best.tokens < minTokens) return undefined;
    const rest = this.#rests.get(best.row);
    return rest !== undefined && rest.ids.length - best.tokens < minTokens ? best.row : undefined;
  }

  /**
   * Takes a free row for `owner`: how many tokens of its beginning are there already; undefined when others have to end
   * first. All that run have room for some more tokens then.
   */
  take(owner: KvOwner, row: number): number | undefined {
    this.#guarantees.heard(owner.flow);
    const after = new Map(this.#taken).set(row, takenBy(owner));
    // By itself it has the room of whatever is kept.
    const claims = this.#taken.size === 0 ? this.#rowBytes(after, withRoom) : this.#claims(after, withRoom);
    if (claims > (this.#taken.size === 0 ? this.#budgetBytes : this.#limitBytes)) return undefined;
    this.forget(owner);
    const best = this.#best(owner);
    this.#used(best.row);
    const kept = best.row === row ? best.tokens : 0;
    this.#vacate(row, kept);
    this.#taken.set(row, takenBy(owner));
    this.#makeRoom();
    return this.#reuse(row, owner, kept);
  }

  /** Room for so many tokens of a row that is taken; false when others have to make way. */
  grow(row: number, tokens: number): boolean {
    const taken = this.#taken.get(row);
    if (taken === undefined || taken.tokens >= tokens) return true;
    const grown = { ...taken, tokens };
    const isMore = this.#kv.bytesFor(tokens) > this.#kv.bytesFor(taken.tokens);
    const after = new Map(this.#taken).set(row, grown);
    if (isMore && this.#taken.size > 1 && this.#claims(after) > this.#limitBytes) return false;
    if (isMore && this.#rowBytes(after) > this.#budgetBytes) {
      throw new AdaptletError('INTERNAL', `${tokens} tokens do not fit the memory for keys and values`);
    }
    this.#taken.set(row, grown);
    if (isMore) this.#makeRoom();
    return true;
  }

  /**
   * Puts what is there of the beginning of a row's owner into the row, if that is more than it has: how many tokens are
   * there now. At least one is left to be run: its logits are needed.
   */
  reuse(row: number): number {
    const owner = this.#taken.get(row)?.owner;
    return owner === undefined ? 0 : this.#reuse(row, owner, owner.filled);
  }

  /** True when there would be room for `owner` once these rows were paused. */
  fitsWithout(owner: KvOwner, rows: readonly number[]): boolean {
    const left = new Map(this.#taken);
    const kept = this.#kept();
    for (const row of rows) {
      const taken = left.get(row);
      if (taken !== undefined) kept.add(taken.owner.flow, this.#kv.heldBytes(row));
      left.delete(row);
    }
    const isAlone = left.size === 0;
    left.set(rows[0] ?? -1, takenBy(owner));
    const claims = isAlone ? this.#rowBytes(left, withRoom) : this.#claims(left, withRoom, kept);
    return claims <= (isAlone ? this.#budgetBytes : this.#limitBytes);
  }

  /** True when there is room for `owner` beside these rows alone, and what others keep for sure. */
  fitsBeside(owner: KvOwner, rows: readonly number[]): boolean {
    const taken = new Map([...this.#taken].filter(([row]) => rows.includes(row)));
    return this.#claims(taken.set(-1, takenBy(owner)), withRoom) <= this.#limitBytes;
  }

  /** The owner of a row is over, or paused; what is there of it is kept, if that may serve somebody. */
  leave(row: number, { kept, paused = false }: { readonly kept: boolean; readonly paused?: boolean }): void {
    const owner = this.#taken.get(row)?.owner;
    if (owner === undefined) return;
    this.#taken.delete(row);
    const ids = owner.ids.slice(0, owner.filled);
    const { kvKey, flow } = owner;
    if (!kept || ids.length < minTokens || !(owner.shares || paused)) this.#kv.discard(row);
    else this.#rest(row, { kvKey, flow, ids, used: paused ? Infinity : (this.#now += 1) });
    this.#makeRoom();
  }

  /** A sequence is paused no longer: what is kept of its beginning goes when its turn comes. */
  forget({ kvKey, ids }: KvOwner): void {
    this.#tree.touch(kvKey, ids, (this.#now += 1));
    for (const [row, rest] of this.#rests) {
      if (rest.kvKey === kvKey && isWithin(rest.ids, ids)) this.#used(row);
    }
  }

  /** A sequence goes to a free row, with its first tokens; false when there is no room to copy them. */
  move(from: number, to: number, tokens: number): boolean {
    const taken = this.#taken.get(from);
    if (taken === undefined) return false;
    const moved = new Map(this.#taken).set(to, taken);
    moved.delete(from);
    if (this.#claims(moved) > this.#budgetBytes) return false;
    this.#vacate(to, 0);
    if (!this.#roomToCopy()) return false;
    this.#taken.delete(from);
    this.#taken.set(to, taken);
    this.#kv.move(from, to, tokens);
    this.#makeRoom();
    return true;
  }

  /** Between steps. */
  release(): void {
    this.#tree.release();
    this.#rests.clear();
  }

  /** The most that is there of the beginning of an owner, in a row or, where none is said, in blocks. */
  #best(owner: KvOwner, own?: number): { readonly row?: number; readonly tokens: number } {
    const { kvKey, ids } = owner;
    const most = ids.length - 1;
    let best: { readonly row?: number; readonly tokens: number } = {
      tokens: Math.min(this.#tree.find(kvKey, ids).tokens, most),
    };
    const consider = (row: number, there: readonly number[], filled: number): void => {
      const tokens = Math.min(commonLength(there, ids), filled, most);
      if (tokens > 0 && tokens >= best.tokens) best = { row, tokens };
    };
    for (const [row, { owner: other }] of this.#taken) {
      if (row !== own && other.kvKey === kvKey) consider(row, other.ids, other.filled);
    }
    for (const [row, rest] of this.#rests) {
      if (rest.kvKey === kvKey) consider(row, rest.ids, rest.ids.length);
    }
    return best;
  }

  #reuse(row: number, owner: KvOwner, filled: number): number {
    const best = this.#best(owner, row);
    if (best.tokens < filled + minTokens) return filled;
    if (best.row === undefined) this.#restore(row, owner, filled, best.tokens);
    else this.#kv.copy(best.row, row, filled, best.tokens);
    this.#used(best.row);
    return best.tokens;
  }

  #restore(row: number, { kvKey, ids }: KvOwner, filled: number, tokens: number): void {
    let at = 0;
    for (const part of this.#tree.find(kvKey, ids).parts) {
      const wanted = Math.min(part.tokens, tokens - at);
      if (at + wanted > filled) this.#kv.restore(row, at, part.saved, wanted);
      at += wanted;
    }
  }

  #used(row = -1): void {
    const rest = this.#rests.get(row);
    if (rest !== undefined) this.#rests.set(row, { ...rest, used: (this.#now += 1) });
  }

  /** A row keeps what it has; rows that keep no more than that are free. */
  #rest(row: number, rest: Rest): void {
    for (const [other, { kvKey, ids, used }] of this.#rests) {
      if (kvKey !== rest.kvKey || used > rest.used || !isWithin(ids, rest.ids)) continue;
      this.#rests.delete(other);
      this.#kv.discard(other);
    }
    this.#kv.discard(row, rest.ids.length);
    this.#rests.set(row, rest);
  }

  /** A free row gives up all but its first tokens; what it kept beyond them is saved in blocks, where there is room. */
  #vacate(row: number, kept: number): void {
    const rest = this.#rests.get(row);
    if (rest !== undefined && rest.ids.length - kept >= minTokens) {
      const { kvKey, ids, used } = rest;
      const { namespace: owner = '' } = rest.flow;
      const save = (from: number, count: number): SavedTokens | undefined =>
        this.#save(row, from, count, rest);
      this.#tree.insert(kvKey, ids, { owner, now: used, save });
    }
    this.#rests.delete(row);
    this.#kv.discard(row, kept);
  }

  /** Where there is room for it, also by letting go of what is worth less. */
  #save(row: number, from: number, tokens: number, rest: Rest): SavedTokens | undefined {
    const bytes = this.#kv.savedBytes(tokens);
    const fits = (): boolean => this.usedBytes + bytes <= this.#limitBytes && this.#tree.blocks < maxBlocks;
    while (!fits() && this.#dropOldest({ of: rest }));
    return fits() ? this.#kv.save(row, from, tokens) : undefined;
  }

  /** What rows need that are taken so, beside what others keep for sure. */
  #claims(taken: ReadonlyMap<number, Taken>, tokensOf = tokensNow, kept?: BytesByNamespace): number {
    const bytes = this.#rowBytes(taken, tokensOf);
    if (this.#guarantees.none) return bytes;
    return bytes + this.#guarantees.sureBytes(this.#rowsOf(taken, tokensOf), kept ?? this.#kept());
  }

  #rowsOf(taken: ReadonlyMap<number, Taken>, tokensOf = tokensNow): BytesByNamespace {
    const rows = new BytesByNamespace();
    for (const row of taken.values()) rows.add(row.owner.flow, this.#kv.bytesFor(tokensOf(row)));
    return rows;
  }

  #kept(): BytesByNamespace {
    const kept = new BytesByNamespace();
    for (const [namespace, { bytes }] of this.#tree.owners()) kept.add({ namespace }, bytes);
    for (const [row, { flow }] of this.#rests) kept.add(flow, this.#kv.heldBytes(row));
    return kept;
  }

  /** What rows need that are taken so, each for as many tokens as is said. */
  #rowBytes(taken: ReadonlyMap<number, Taken>, tokensOf = tokensNow): number {
    let bytes = 0;
    for (const row of taken.values()) bytes += this.#kv.bytesFor(tokensOf(row));
    const rows = [...taken.keys()].filter((row) => row >= 0);
    const span = rows.length === 0 ? 0 : Math.max(...rows) - Math.min(...rows) + 1;
    return bytes + (span - rows.length) * this.#kv.bytesFor(1);
  }

  #makeRoom(): void {
    while (this.usedBytes > this.#budgetBytes && this.#dropOldest({ orThen: 'all' }));
    while (this.usedBytes > this.#limitBytes && this.#dropOldest({ orThen: 'paused' }));
  }

  /** Room for what a copy takes beside what is there, as far as that is possible: true when it is. */
  #roomToCopy(): boolean {
    const fits = (): boolean => {
      let held = this.#tree.bytes + copyBytes;
      for (let row = 0; row < this.#kv.rows; row += 1) held += this.#kv.heldBytes(row);
      return held <= this.#budgetBytes;
    };
    while (!fits() && this.#dropOldest());
    return fits();
  }

  /**
   * Lets go of what steps wrote into free rows, then of some of what whoever has most keeps, that was used longest ago: false
   * without any. Of a row its last tokens go. `of`: only of what is worth less than this: it was used before in the same namespace, or
   * another one has more. `orThen`: also of what is paused, or of all, also what is kept within what is guaranteed.
   */
  #dropOldest({ of, orThen }: { readonly of?: Rest; readonly orThen?: 'paused' | 'all' } = {}): boolean {
    for (let row = 0; row < this.#kv.rows; row += 1) {
      if (this.#taken.has(row) || this.#rests.has(row) || this.#kv.heldBytes(row) === 0) continue;
      this.#kv.discard(row);
      return true;
    }
    const [least] = this.#droppable();
    if (least === undefined) return false;
    if (orThen !== 'all' && isSure(least)) return false;
    if (orThen === undefined && least.used === Infinity) return false;
    const { namespace, row, rest, ofTree, used, beyond } = least;
    const { namespace: own = '' } = of?.flow ?? {};
    if (of !== undefined && (namespace === own ? used >= of.used : beyond <= this.#beyond(own))) return false;
    if (ofTree !== undefined && (rest === undefined || ofTree <= rest.used)) this.#tree.dropOldest(namespace);
    else if (row !== undefined && rest !== undefined) this.#shorten(row, rest);
    return true;
  }

  #beyond(namespace: string, kept = this.#kept()): number {
    return this.#guarantees.beyond(namespace, this.#rowsOf(this.#taken), kept);
  }

  /** The oldest of each namespace, the first to go first. */
  #droppable() {
    const kept = this.#kept();
    const blocks = this.#tree.owners();
    const rests = [...this.#rests].toSorted(([, a], [, b]) => (a.used < b.used ? -1 : 1));
    const namespaces = new Set([...blocks.keys(), ...rests.map(([, { flow }]) => flow.namespace ?? '')]);
    const oldest = [...namespaces].map((namespace) => {
      const [row, rest] = rests.find(([, { flow }]) => (flow.namespace ?? '') === namespace) ?? [];
      const ofTree = blocks.get(namespace)?.oldest;
      const used = Math.min(ofTree ?? Infinity, rest?.used ?? Infinity);
      return { namespace, row, rest, ofTree, used, beyond: this.#beyond(namespace, kept) };
    });
    return oldest.toSorted(byWorth);
  }

  #shorten(row: number, rest: Rest): void {
    const { length } = rest.ids;
    const tokens = Math.floor((length - 1) / blockTokens) * blockTokens;
    if (tokens < minTokens) this.#rests.delete(row);
    else this.#rests.set(row, { ...rest, ids: rest.ids.slice(0, tokens) });
    this.#kv.discard(row, tokens < minTokens ? 0 : tokens);
  }
}
