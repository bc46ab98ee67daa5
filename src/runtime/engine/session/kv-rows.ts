import { AdaptletError } from '../../../errors/adaptlet-error.ts';
import { copy, discard, reserve, unreserve } from '../ort/libc.ts';
import { OrtTensor } from '../ort/tensor.ts';
import { type CacheShape, checkRoom, headTokenBytes, type KvCache, tokenBytes } from './kv-cache.ts';

/** Pages are given back as a whole. */
const pageBytes = 4096;
/** Tensors of spans are kept, since every step needs them. */
const maxSpans = 256;

/** Bytes that are copied before the pages that they came from are given back; whole pages. */
const chunkBytes = 7 * pageBytes;
/** Bytes that a copy takes at most beside the larger of what was there before it and what is there after it. */
export const copyBytes = chunkBytes + pageBytes;

const inPages = (bytes: number): number => Math.ceil(bytes / pageBytes) * pageBytes;
const commonDivisor = (a: number, b: number): number => (b === 0 ? a : commonDivisor(b, a % b));
const pageOf = (address: bigint): bigint => address & ~BigInt(pageBytes - 1);

/** Tokens of one row that fit so many bytes, in whole pages of each head of each layer. */
export const rowTokens = (shape: CacheShape, bytes: number): number => {
  const pages = Math.floor(bytes / (shape.entries * shape.kvHeads * pageBytes));
  return Math.floor((pages * pageBytes) / headTokenBytes(shape));
};

/** Keys and values of some tokens, outside of any row: tokens of each head one after the other. */
export type SavedTokens = { readonly tokens: number; readonly bytes: number; release(): void };

class Saved implements SavedTokens {
  readonly address: bigint;
  readonly tokens: number;
  /** Whole pages. */
  readonly bytes: number;

  constructor(tokens: number, bytes: number) {
    this.tokens = tokens;
    this.bytes = inPages(bytes);
    this.address = reserve(this.bytes);
  }

  release(): void {
    unreserve(this.address, this.bytes);
  }
}

/** Copies bytes, and gives back the pages that they came from, up to those at `end`, as it goes. */
const carry = (to: bigint, from: bigint, bytes: number, end: bigint): void => {
  let left = pageOf(from);
  const leave = (until: bigint): void => {
    if (until > left) discard(left, Number(until - left));
    left = until;
  };
  for (let at = 0; at < bytes; at += chunkBytes) {
    const count = Math.min(chunkBytes, bytes - at);
    copy(to + BigInt(at), from + BigInt(at), count);
    leave(pageOf(from + BigInt(at + count)));
  }
  leave(pageOf(end));
};

/**
 * Keys and values of several sequences that decode together: [rows, kvHeads, capacity, headSize] for keys and for values
 * of each layer, written in place. A row is room for one sequence; rows that are next to each other make a batch.
 * Addresses are reserved for all tokens of all rows; memory is taken by what was written.
 *
 * Assumes that calls come between steps.
 */
export class KvRows {
  readonly rows: number;
  /** Tokens of one row at most: each head of a row begins at a page. */
  readonly capacity: number;
  readonly #shape: CacheShape;
  readonly #address: bigint;
  readonly #spans = new Map<number, readonly OrtTensor[]>();
  /** Tokens of each row whose memory was written to since it was given back. */
  readonly #written: number[];

  /**
   * Rows of `capacity` tokens or some more.
   * @throws RangeError when there are not that many addresses
   */
  constructor(shape: CacheShape, { rows, capacity }: { readonly rows: number; readonly capacity: number }) {
    this.rows = rows;
    const tokensOfPages = pageBytes / commonDivisor(pageBytes, headTokenBytes(shape));
    this.capacity = Math.ceil(capacity / tokensOfPages) * tokensOfPages;
    this.#shape = shape;
    this.#written = Array.from({ length: rows }, () => 0);
    this.#address = reserve(this.#bytes);
  }

  get #bytes(): number {
    return this.rows * this.capacity * tokenBytes(this.#shape);
  }

  /** Of one head of one row. */
  get #headBytes(): number {
    return this.capacity * headTokenBytes(this.#shape);
  }

  /** Bytes of one token in all layers. */
  get tokenBytes(): number {
    return tokenBytes(this.#shape);
  }

  /** Bytes of memory that so many tokens of one row take: whole pages of each head of each layer. */
  bytesFor(tokens: number): number {
    const { entries, kvHeads } = this.#shape;
    return entries * kvHeads * inPages(tokens * headTokenBytes(this.#shape));
  }

  /** Bytes of memory that a row holds, used or not. */
  heldBytes(row: number): number {
    return this.bytesFor(this.#written[row] ?? 0);
  }

  /** Keys and values of `count` rows from `first` on, of all layers in the graph's order. */
  span(first: number, count: number): readonly OrtTensor[] {
    const key = first * (this.rows + 1) + count;
    const known = this.#spans.get(key);
    if (known !== undefined) return known;
    if (this.#spans.size >= maxSpans) this.#releaseSpans();
    const { entries, kvHeads, headSize, element } = this.#shape;
    const tensors = Array.from({ length: entries }, (_, entry) => {
      const shape = [count, kvHeads, this.capacity, headSize];
      return new OrtTensor(element, shape, this.#headAt(entry, first, 0));
    });
    this.#spans.set(key, tensors);
    return tensors;
  }

  /** Up to this many tokens of a row will be written. */
  writes(row: number, tokens: number): void {
    this.#written[row] = Math.max(this.#written[row] ?? 0, tokens);
  }

  /** Bytes that so many tokens take outside of any row. */
  savedBytes(tokens: number): number {
    return inPages(tokens * this.tokenBytes);
  }

  /** Copies tokens of a row, from `from` on, out of it. */
  save(row: number, from: number, tokens: number): SavedTokens {
    const saved = new Saved(tokens, tokens * this.tokenBytes);
    let to = saved.address;
    this.#eachHead(row, tokens, (at, bytes) => {
      copy(to, at + this.#bytesOf(from), bytes);
      to += BigInt(bytes);
    });
    return saved;
  }

  /**
   * Copies the first `tokens` of what was saved into a row, where its token `at` is.
   * @throws INTERNAL
   */
  restore(row: number, at: number, saved: SavedTokens, tokens = saved.tokens): void {
    if (!(saved instanceof Saved) || tokens > saved.tokens || at + tokens > this.capacity) {
      throw new AdaptletError('INTERNAL', `${tokens} of ${saved.tokens} saved tokens do not fit a row`);
    }
    this.writes(row, at + tokens);
    let from = saved.address;
    this.#eachHead(row, tokens, (head, bytes) => {
      copy(head + this.#bytesOf(at), from, bytes);
      from += this.#bytesOf(saved.tokens);
    });
  }

  /** Copies the tokens of a row from `first` up to `tokens` to the same places of another one. */
  copy(from: number, to: number, first: number, tokens: number): void {
    this.writes(to, tokens);
    const distance = this.#headAt(0, to, 0) - this.#headAt(0, from, 0);
    this.#eachHead(from, tokens - first, (head, bytes) => {
      const at = head + this.#bytesOf(first);
      copy(at + distance, at, bytes);
    });
  }

  /** Takes the first tokens of a row to another one; the row holds nothing then. */
  move(from: number, to: number, tokens: number): void {
    this.writes(to, tokens);
    const distance = this.#headAt(0, to, 0) - this.#headAt(0, from, 0);
    this.#eachHead(from, tokens, (at, bytes) => carry(at + distance, at, bytes, at + BigInt(inPages(bytes))));
    this.discard(from);
  }

  /** Gives the memory of a row back to the system, but for that of its first `kept` tokens. */
  discard(row: number, kept = 0): void {
    const written = this.#written[row] ?? 0;
    if (written <= kept) return;
    this.#written[row] = kept;
    const left = inPages(Number(this.#bytesOf(kept)));
    this.#eachHead(row, written, (at, bytes) => {
      if (inPages(bytes) > left) discard(at + BigInt(left), inPages(bytes) - left);
    });
  }

  /** Not during a step. */
  release(): void {
    this.#releaseSpans();
    unreserve(this.#address, this.#bytes);
  }

  /** Of so many tokens of one head. */
  #bytesOf(tokens: number): bigint {
    return BigInt(tokens * headTokenBytes(this.#shape));
  }

  #releaseSpans(): void {
    for (const tensor of [...this.#spans.values()].flat()) tensor.release();
    this.#spans.clear();
  }

  #headAt(entry: number, row: number, head: number): bigint {
    const { kvHeads } = this.#shape;
    return this.#address + BigInt(((entry * this.rows + row) * kvHeads + head) * this.#headBytes);
  }

  /** Calls for each head of each layer: its address, and the bytes of so many tokens. */
  #eachHead(row: number, tokens: number, visit: (at: bigint, bytes: number) => void): void {
    const { entries, kvHeads } = this.#shape;
    const bytes = Number(this.#bytesOf(tokens));
    for (let entry = 0; entry < entries; entry += 1) {
      for (let head = 0; head < kvHeads; head += 1) visit(this.#headAt(entry, row, head), bytes);
    }
  }
}

/** One row as the cache of one sequence. Whoever takes rows sees to it that each has one user. */
export class RowCache implements KvCache {
  readonly row: number;
  readonly #rows: KvRows;
  #length = 0;

  constructor(rows: KvRows, row: number) {
    this.#rows = rows;
    this.row = row;
  }

  get length(): number {
    return this.#length;
  }

  get capacity(): number {
    return this.#rows.capacity;
  }

  step(total: number): { readonly past: readonly OrtTensor[]; readonly present: readonly OrtTensor[] } {
    checkRoom(total, this.capacity);
    this.#rows.writes(this.row, total);
    const tensors = this.#rows.span(this.row, 1);
    return { past: tensors, present: tensors };
  }

  advance(total: number): void {
    this.#length = total;
  }

  /** The tensors are of the rows. */
  release(): void {
    this.#length = 0;
  }
}
