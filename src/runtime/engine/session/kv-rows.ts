import { AdaptletError } from '../../../errors/adaptlet-error.ts';
import { copy, discard, reserve, unreserve } from '../ort/libc.ts';
import { NativeMemory } from '../ort/memory.ts';
import { OrtTensor } from '../ort/tensor.ts';
import { type CacheShape, checkRoom, type KvCache, tokenBytes } from './kv-cache.ts';

/** Pages are given back as a whole. */
const pageBytes = 4096;
/** Tensors of spans are kept, since every step needs them. */
const maxSpans = 256;

/** Tokens of one row that fit so many bytes, in whole pages of each head of each layer. */
export const rowTokens = ({ entries, kvHeads, headSize }: CacheShape, bytes: number): number => {
  const pages = Math.floor(bytes / (entries * kvHeads * pageBytes));
  return Math.floor((pages * pageBytes) / (headSize * Float32Array.BYTES_PER_ELEMENT));
};

/** Keys and values of some tokens, outside of any row: tokens of each head one after the other. */
export type SavedTokens = { readonly tokens: number; readonly bytes: number; release(): void };

class Saved implements SavedTokens {
  readonly memory: NativeMemory;
  readonly tokens: number;

  constructor(tokens: number, bytes: number) {
    this.tokens = tokens;
    this.memory = new NativeMemory(bytes);
  }

  get bytes(): number {
    return this.memory.bytes;
  }

  release(): void {
    this.memory.free();
  }
}

/**
 * Keys and values of several sequences that decode together: [rows, kvHeads, capacity, headSize] for keys and for values
 * of each layer, written in place. A row is room for one sequence; rows that are next to each other make a batch.
 * Addresses are reserved for all tokens of all rows; memory is taken by what was written.
 *
 * Assumes that calls come between steps.
 */
export class KvRows {
  readonly rows: number;
  /** Tokens of one row at most. */
  readonly capacity: number;
  readonly #shape: CacheShape;
  readonly #address: bigint;
  readonly #spans = new Map<number, readonly OrtTensor[]>();
  /** Tokens of each row whose memory was written to since it was given back. */
  readonly #written: number[];

  /** @throws RangeError when there are not that many addresses */
  constructor(shape: CacheShape, { rows, capacity }: { readonly rows: number; readonly capacity: number }) {
    this.rows = rows;
    this.capacity = capacity;
    this.#shape = shape;
    this.#written = Array.from({ length: rows }, () => 0);
    this.#address = reserve(this.#bytes);
  }

  get #bytes(): number {
    return this.rows * this.capacity * tokenBytes(this.#shape);
  }

  /** Of one head of one row. */
  get #headBytes(): number {
    return this.capacity * this.#shape.headSize * Float32Array.BYTES_PER_ELEMENT;
  }

  /** Bytes of one token in all layers. */
  get tokenBytes(): number {
    return tokenBytes(this.#shape);
  }

  /** Bytes of memory that so many tokens of one row take: whole pages of each head of each layer. */
  bytesFor(tokens: number): number {
    const { entries, kvHeads, headSize } = this.#shape;
    const pages = Math.ceil((tokens * headSize * Float32Array.BYTES_PER_ELEMENT) / pageBytes);
    return entries * kvHeads * pages * pageBytes;
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
    const { entries, kvHeads, headSize } = this.#shape;
    const tensors = Array.from({ length: entries }, (_, entry) => {
      const shape = [count, kvHeads, this.capacity, headSize];
      return new OrtTensor('float32', shape, this.#headAt(entry, first, 0));
    });
    this.#spans.set(key, tensors);
    return tensors;
  }

  /** Up to this many tokens of a row will be written. */
  writes(row: number, tokens: number): void {
    this.#written[row] = Math.max(this.#written[row] ?? 0, tokens);
  }

  /** Copies the first tokens of a row out of it. */
  save(row: number, tokens: number): SavedTokens {
    const saved = new Saved(tokens, tokens * this.tokenBytes);
    this.#eachHead(row, tokens, (at, offset, bytes) => copy(saved.memory.address + offset, at, bytes));
    return saved;
  }

  /**
   * Copies tokens that were saved to the start of a row; the first `tokens` of them.
   * @throws INTERNAL
   */
  restore(row: number, saved: SavedTokens, tokens = saved.tokens): void {
    if (!(saved instanceof Saved) || tokens > saved.tokens || saved.tokens > this.capacity) {
      throw new AdaptletError('INTERNAL', `${tokens} of ${saved.tokens} saved tokens do not fit a row`);
    }
    this.writes(row, tokens);
    const headBytes = (saved.tokens * this.tokenBytes) / (this.#shape.entries * this.#shape.kvHeads);
    let head = 0;
    this.#eachHead(row, tokens, (at, _offset, bytes) => {
      copy(at, saved.memory.address + BigInt(head * headBytes), bytes);
      head += 1;
    });
  }

  /** Copies the first tokens of a row into another one. */
  move(from: number, to: number, tokens: number): void {
    this.writes(to, tokens);
    const distance = this.#headAt(0, to, 0) - this.#headAt(0, from, 0);
    this.#eachHead(from, tokens, (at, _offset, bytes) => copy(at + distance, at, bytes));
  }

  /** Gives the memory of a row back to the system. */
  discard(row: number): void {
    const written = this.#written[row] ?? 0;
    if (written === 0) return;
    this.#written[row] = 0;
    this.#eachHead(row, written, (at, _offset, bytes) => {
      // Pages at the ends belong to neighbours as well.
      const from = (at + BigInt(pageBytes - 1)) & ~BigInt(pageBytes - 1);
      const to = (at + BigInt(bytes)) & ~BigInt(pageBytes - 1);
      if (to > from) discard(from, Number(to - from));
    });
  }

  /** Not during a step. */
  release(): void {
    this.#releaseSpans();
    unreserve(this.#address, this.#bytes);
  }

  #releaseSpans(): void {
    for (const tensor of [...this.#spans.values()].flat()) tensor.release();
    this.#spans.clear();
  }

  #headAt(entry: number, row: number, head: number): bigint {
    const { kvHeads } = this.#shape;
    return this.#address + BigInt(((entry * this.rows + row) * kvHeads + head) * this.#headBytes);
  }

  /** Calls for each head of each layer: its address, the offset of its tokens when saved, and their bytes. */
  #eachHead(row: number, tokens: number, visit: (at: bigint, offset: bigint, bytes: number) => void): void {
    const { entries, kvHeads, headSize } = this.#shape;
    const bytes = tokens * headSize * Float32Array.BYTES_PER_ELEMENT;
    let offset = 0n;
    for (let entry = 0; entry < entries; entry += 1) {
      for (let head = 0; head < kvHeads; head += 1) {
        visit(this.#headAt(entry, row, head), offset, bytes);
        offset += BigInt(bytes);
      }
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
