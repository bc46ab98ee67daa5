import * as fc from 'fast-check';
import { afterEach, describe, expect, it } from 'vitest';
import { pagedShape, readTokens, writeTokens, writtenTokens } from './kv-rows.fixture.ts';
import { KvRows, RowCache, rowTokens } from './kv-rows.ts';

const shape = pagedShape;
/** Keys and values of a token, and a page of each head of each layer. */
const tokenBytes = 512;
const pagesBytes = 8 * 4096;

const opened: KvRows[] = [];
const open = (rows: number, capacity: number): KvRows => {
  const kv = new KvRows(shape, { rows, capacity });
  opened.push(kv);
  return kv;
};
afterEach(() => {
  for (const kv of opened.splice(0)) kv.release();
});

const zeros = (tokens: number): readonly Float32Array[] =>
  Array.from({ length: 8 }, () => new Float32Array(tokens * shape.headSize));

describe('rows of keys and values', () => {
  it('make a batch of those next to each other: a span begins where its first row does', () => {
    const kv = open(4, 64);
    const rowBytes = BigInt(shape.kvHeads * 64 * shape.headSize * 4);
    const [first] = kv.span(0, 1);
    for (const [entry, tensor] of kv.span(0, 4).entries()) {
      expect(tensor.shape).toEqual([4, 2, 64, 16]);
      expect(tensor.address).toBe(first!.address + BigInt(entry) * 4n * rowBytes);
    }
    for (const [entry, tensor] of kv.span(1, 2).entries()) {
      expect(tensor.shape).toEqual([2, 2, 64, 16]);
      expect(tensor.address).toBe(kv.span(0, 4)[entry]!.address + rowBytes);
    }
  });

  it('keep the tensors of a span, and of so many spans only', () => {
    const kv = open(30, 64);
    const before = kv.span(0, 1);
    expect(kv.span(0, 1)).toBe(before);
    for (let first = 0; first < 30; first += 1) {
      for (let count = 1; first + count <= 30; count += 1) kv.span(first, count);
    }
    expect(kv.span(0, 1)).not.toBe(before);
    expect(kv.span(0, 1)[0]!.shape).toEqual([1, 2, 64, 16]);
    expect(() => before[0]!.value).toThrow(/released/);
  });

  it('take no memory before they are written to, then whole pages of each head', () => {
    const kv = open(2, 128);
    expect([kv.heldBytes(0), kv.heldBytes(1)]).toEqual([0, 0]);
    kv.writes(1, 1);
    expect([kv.heldBytes(0), kv.heldBytes(1)]).toEqual([0, pagesBytes]);
    kv.writes(1, 65);
    kv.writes(1, 3);
    expect(kv.heldBytes(1)).toBe(2 * pagesBytes);
    expect([kv.bytesFor(0), kv.bytesFor(64), kv.bytesFor(65)]).toEqual([0, pagesBytes, 2 * pagesBytes]);
    expect(kv.tokenBytes).toBe(tokenBytes);
  });

  it('are refused where there are not that many addresses', () => {
    expect(() => new KvRows(shape, { rows: 1 << 20, capacity: 1 << 22 })).toThrow(RangeError);
  });

  it('hold as many tokens of one row in so many bytes as fit with all of their pages', () => {
    fc.assert(
      fc.property(
        fc.record({
          entries: fc.integer({ min: 1, max: 64 }),
          kvHeads: fc.integer({ min: 1, max: 8 }),
          headSize: fc.constantFrom(16, 64, 80, 128),
          element: fc.constantFrom('float32' as const, 'int8' as const),
        }),
        fc.integer({ min: 0, max: 1 << 28 }),
        (some, bytes) => {
          const tokens = rowTokens(some, bytes);
          const kv = new KvRows(some, { rows: 1, capacity: 1 });
          expect(kv.bytesFor(tokens)).toBeLessThanOrEqual(bytes);
          expect(kv.bytesFor(tokens + 1)).toBeGreaterThan(bytes);
          kv.release();
        },
      ),
    );
  });
});

describe('tokens that are saved', () => {
  it('are there for any row, byte for byte, and take their own bytes only, in whole pages; their row keeps them', () => {
    const kv = open(3, 70);
    writeTokens(kv, shape, 0, 65, 1);
    const saved = kv.save(0, 0, 65);
    expect(saved).toMatchObject({ tokens: 65, bytes: 9 * 4096 });
    expect(kv.savedBytes(65)).toBe(saved.bytes);
    expect(readTokens(kv, shape, 0, 65)).toEqual(writtenTokens(shape, 65, 1));
    writeTokens(kv, shape, 0, 70, 2);
    for (const row of [1, 2]) {
      kv.restore(row, 0, saved);
      expect(readTokens(kv, shape, row, 65)).toEqual(writtenTokens(shape, 65, 1));
      expect(kv.heldBytes(row)).toBe(2 * pagesBytes);
    }
    expect(readTokens(kv, shape, 0, 70)).toEqual(writtenTokens(shape, 70, 2));
    saved.release();
  });

  it('are of the middle of a row, and go to a middle, all or the first of them', () => {
    const kv = open(2, 128);
    writeTokens(kv, shape, 0, 100, 3);
    const saved = kv.save(0, 30, 50);
    kv.restore(1, 30, saved, 20);
    const middle = (tokens: number): readonly Float32Array[] =>
      writtenTokens(shape, 30 + tokens, 3).map((head) => head.slice(30 * shape.headSize));
    expect(readTokens(kv, shape, 1, 50, 30)).toEqual(middle(20));
    expect(readTokens(kv, shape, 1, 128, 50)).toEqual(zeros(78));
    kv.restore(1, 30, saved);
    expect(readTokens(kv, shape, 1, 80, 30)).toEqual(middle(50));
    expect(readTokens(kv, shape, 1, 30)).toEqual(zeros(30));
    saved.release();
  });

  it('are refused by a row that is too short for them, and beyond what was saved', () => {
    const [long, short] = [open(1, 70), open(1, 64)];
    writeTokens(long, shape, 0, 65, 1);
    const saved = long.save(0, 0, 65);
    const internal = expect.objectContaining({ code: 'INTERNAL' });
    expect(() => short.restore(0, 0, saved)).toThrow(internal);
    expect(() => long.restore(0, 64, saved)).toThrow(internal);
    expect(() => long.restore(0, 0, saved, 66)).toThrow(internal);
    expect(() => long.restore(0, 0, { tokens: 1, bytes: tokenBytes, release: () => undefined })).toThrow(
      internal,
    );
    saved.release();
  });
});

describe('tokens that are copied', () => {
  it('are in both rows, from the first to the last that is said, and nothing else is', () => {
    const kv = open(3, 128);
    writeTokens(kv, shape, 2, 100, 3);
    kv.copy(2, 0, 20, 70);
    expect(readTokens(kv, shape, 0, 70, 20)).toEqual(
      writtenTokens(shape, 70, 3).map((head) => head.slice(20 * shape.headSize)),
    );
    expect(readTokens(kv, shape, 0, 20)).toEqual(zeros(20));
    expect(readTokens(kv, shape, 0, 128, 70)).toEqual(zeros(58));
    expect(readTokens(kv, shape, 2, 100)).toEqual(writtenTokens(shape, 100, 3));
    expect(kv.heldBytes(0)).toBe(2 * pagesBytes);
  });
});

describe('a row that moves', () => {
  it('is in the other row byte for byte, leaves what is between and behind as it was, and holds nothing', () => {
    const kv = open(4, 70);
    for (const [row, tokens] of [10, 70, 66, 70].entries()) writeTokens(kv, shape, row, tokens, row + 1);
    kv.move(2, 0, 66);
    expect(readTokens(kv, shape, 0, 66)).toEqual(writtenTokens(shape, 66, 3));
    expect(readTokens(kv, shape, 0, 70, 66)).toEqual(zeros(4));
    for (const row of [1, 3])
      expect(readTokens(kv, shape, row, 70)).toEqual(writtenTokens(shape, 70, row + 1));
    expect([kv.heldBytes(0), kv.heldBytes(2)]).toEqual([2 * pagesBytes, 0]);
    expect(readTokens(kv, shape, 2, 70)).toEqual(zeros(70));
    kv.move(0, 3, 5);
    expect(readTokens(kv, shape, 3, 5)).toEqual(writtenTokens(shape, 5, 3));
    expect(readTokens(kv, shape, 3, 70, 5)).toEqual(
      writtenTokens(shape, 70, 4).map((head) => head.slice(5 * shape.headSize)),
    );
  });
});

describe('a row that is discarded', () => {
  it('reads zero and holds nothing; its neighbours keep every byte', () => {
    const kv = open(3, 128);
    for (const row of [0, 1, 2]) writeTokens(kv, shape, row, 128, row + 1);
    kv.discard(1);
    expect(readTokens(kv, shape, 1, 128)).toEqual(zeros(128));
    expect(kv.heldBytes(1)).toBe(0);
    for (const row of [0, 2])
      expect(readTokens(kv, shape, row, 128)).toEqual(writtenTokens(shape, 128, row + 1));
    writeTokens(kv, shape, 1, 128, 9);
    expect(readTokens(kv, shape, 1, 128)).toEqual(writtenTokens(shape, 128, 9));
  });

  it('keeps its first tokens where that is said, and the pages that they are in', () => {
    const kv = open(2, 256);
    writeTokens(kv, shape, 0, 200, 1);
    kv.discard(0, 70);
    expect(readTokens(kv, shape, 0, 70)).toEqual(writtenTokens(shape, 70, 1));
    expect(readTokens(kv, shape, 0, 256, 128)).toEqual(zeros(128));
    expect(kv.heldBytes(0)).toBe(2 * pagesBytes);
    kv.discard(0, 100);
    expect(kv.heldBytes(0)).toBe(2 * pagesBytes);
    kv.discard(0);
    expect(readTokens(kv, shape, 0, 256)).toEqual(zeros(256));
  });

  it('gives back every page: rows of any capacity begin at pages', () => {
    const kv = open(3, 100);
    expect(kv.capacity).toBe(128);
    for (const row of [0, 1, 2]) writeTokens(kv, shape, row, 100, row + 1);
    kv.discard(1);
    expect(readTokens(kv, shape, 1, 100)).toEqual(zeros(100));
    for (const row of [0, 2])
      expect(readTokens(kv, shape, row, 100)).toEqual(writtenTokens(shape, 100, row + 1));
  });
});

describe('a row as the cache of a sequence', () => {
  it('feeds and fills its row, counts what was written, and has room for the capacity', () => {
    const kv = open(2, 128);
    const cache = new RowCache(kv, 1);
    const { past, present } = cache.step(65);
    expect(past).toBe(kv.span(1, 1));
    expect(present).toBe(past);
    expect(cache.length).toBe(0);
    cache.advance(65);
    expect(cache.length).toBe(65);
    expect([kv.heldBytes(0), kv.heldBytes(1)]).toEqual([0, 2 * pagesBytes]);
    expect(() => cache.step(129)).toThrow(expect.objectContaining({ code: 'INTERNAL' }));
  });
});
