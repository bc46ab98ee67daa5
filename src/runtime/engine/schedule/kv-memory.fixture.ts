import { afterEach, expect } from 'vitest';
import { pagedShape, readTokens, writeTokens, writtenTokens } from '../session/kv-rows.fixture.ts';
import { KvRows } from '../session/kv-rows.ts';
import type { Flow } from './fair-queue.ts';
import { KvMemory } from './kv-memory.ts';
import type { KvOwner } from './kv-owner.ts';

const shape = pagedShape;
/** Of up to 64 tokens in a row, whose memory comes in pages; saved tokens take their own bytes. */
export const page = 8 * 4096;
export const capacity = 512;
export const rows = 4;

const opened: { memory: KvMemory; kv: KvRows }[] = [];
/** Memory over rows, released at the end of the test. */
export const open = (budgetBytes: number) => {
  const kv = new KvRows(shape, { rows, capacity });
  const memory = new KvMemory(kv, budgetBytes);
  opened.push({ memory, kv });
  return { memory, kv };
};
/** Of all that a test opened. */
afterEach(() => {
  for (const { memory, kv } of opened.splice(0)) {
    memory.release();
    kv.release();
  }
});

/** Fills tokens of a row, from `first` on, with values that are the seed's. */
export const write = (kv: KvRows, row: number, tokens: number, seed: number, first = 0): void =>
  writeTokens(kv, shape, row, tokens, seed, first);
const bytesOf = (heads: readonly Float32Array[]): Buffer =>
  Buffer.concat(heads.map(({ buffer }) => Buffer.from(buffer)));
/** The tokens of a row from `first` on are those of the seed. */
export const expectTokens = (kv: KvRows, row: number, tokens: number, seed: number, first = 0): void => {
  const there = readTokens(kv, shape, row, tokens, first);
  const written = writtenTokens(shape, tokens, seed).map((head) => head.slice(first * shape.headSize));
  expect(bytesOf(there).equals(bytesOf(written))).toBe(true);
};

export const idsOf = (count: number, from = 0): readonly number[] =>
  Array.from({ length: count }, (_, at) => from + at);

/** A sequence by numbers. */
export class FakeOwner implements KvOwner {
  kvKey: string;
  readonly shares: boolean;
  ids: readonly number[];
  filled: number;
  readonly capacity: number;
  readonly flow: Flow;

  constructor(
    ids: readonly number[],
    { key = 'a', filled = 0, shares = true, most = capacity, namespace = '', kvGuaranteed = 0 } = {},
  ) {
    this.flow = { namespace, tenant: '', adapter: null, priority: 0, kvGuaranteed };
    this.kvKey = key;
    this.ids = ids;
    this.filled = filled;
    this.shares = shares;
    this.capacity = Math.max(ids.length, most);
  }
}
