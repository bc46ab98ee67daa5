import { describe, expect, it } from 'vitest';
import { expectTokens, FakeOwner, idsOf, open, page, write } from './kv-memory.fixture.ts';

/** Two ended sequences of 64 tokens each, kept in their rows, of namespaces a and b; what is guaranteed to `a` is in pages. */
const withTwoKept = (guaranteedPages = 0) => {
  const { memory, kv } = open(10 * page);
  for (const [row, namespace] of ['a', 'b'].entries()) {
    const owner = new FakeOwner(idsOf(64, row * 1000), {
      namespace,
      filled: 64,
      most: 64,
      kvGuaranteed: namespace === 'a' ? guaranteedPages * page : 0,
    });
    memory.take(owner, row);
    write(kv, row, 64, row + 1);
    kv.writes(row, 64);
    memory.leave(row, { kept: true });
  }
  return { memory, kv };
};

describe('a limit below the budget', () => {
  it('lets go of what is kept, and counts it as sparable before', () => {
    const { memory } = withTwoKept();
    expect([memory.usedBytes, memory.sparableBytes]).toEqual([2 * page, 2 * page]);
    memory.limit(page);
    expect(memory.usedBytes).toBeLessThanOrEqual(page);
    memory.limit(0);
    expect([memory.usedBytes, memory.sparableBytes]).toEqual([0, 0]);
  });

  it('keeps what is guaranteed to its namespace, whatever it is', () => {
    const { memory, kv } = withTwoKept(1);
    expect(memory.sparableBytes).toBe(page);
    memory.limit(0);
    expect([memory.usedBytes, memory.sparableBytes]).toEqual([page, 0]);
    expect(memory.restingTokens(0)).toBe(64);
    expectTokens(kv, 0, 64, 1);
  });

  it('lets nobody begin beside others, and whoever runs by itself have all', () => {
    const { memory } = open(10 * page);
    memory.limit(page);
    const first = new FakeOwner(idsOf(200));
    expect(memory.take(first, 0)).toBe(0);
    expect(memory.take(new FakeOwner(idsOf(64, 500)), 1)).toBeUndefined();
    expect(memory.grow(0, 512)).toBe(true);
  });

  it('lets those that run together grow no further, and again once it is over', () => {
    const { memory } = open(20 * page);
    memory.take(new FakeOwner(idsOf(64)), 0);
    memory.take(new FakeOwner(idsOf(64, 500)), 1);
    memory.limit(2 * page);
    expect(memory.grow(0, 65)).toBe(false);
    memory.limit(Number.POSITIVE_INFINITY);
    expect(memory.grow(0, 65)).toBe(true);
  });

  it('lets what is kept of a paused sequence go, which computes it again', () => {
    const { memory, kv } = open(10 * page);
    memory.take(new FakeOwner(idsOf(64), { filled: 64 }), 0);
    kv.writes(0, 64);
    memory.leave(0, { kept: true, paused: true });
    expect(memory.sparableBytes).toBe(page);
    memory.limit(0);
    expect(memory.usedBytes).toBe(0);
  });
});
