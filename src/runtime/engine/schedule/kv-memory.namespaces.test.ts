import { describe, expect, it } from 'vitest';
import { FakeOwner, idsOf, open, page, write } from './kv-memory.fixture.ts';

type Node = ReturnType<typeof open>;
type Of = { readonly namespace: string; readonly kvGuaranteed?: number };

const owner = (tokens: number, of: Of, from = 1000 * tokens): FakeOwner =>
  new FakeOwner(idsOf(tokens, from), { ...of, key: of.namespace, most: tokens });

/** A request of so many tokens had a row and is over, or paused; what it had is kept there. */
const keep = ({ memory, kv }: Node, row: number, one: FakeOwner, paused = false): void => {
  expect(memory.take(one, row)).toBe(0);
  one.filled = one.ids.length - 1;
  write(kv, row, one.filled, row);
  memory.leave(row, { kept: true, paused });
};
/** Tokens that are kept of each row. */
const kept = ({ memory }: Node): readonly number[] => [0, 1, 2, 3].map((row) => memory.restingTokens(row));

const [a, b, c] = [{ namespace: 'a' }, { namespace: 'b' }, { namespace: 'c' }];
const sure = { namespace: 'a', kvGuaranteed: page };

describe('beginnings that are kept', () => {
  it('go from the namespace that has most, what it used longest ago first', () => {
    const node = open(4 * page);
    keep(node, 0, owner(64, a));
    keep(node, 1, owner(64, b, 1));
    keep(node, 2, owner(64, b, 500));
    expect(node.memory.take(owner(128, c), 3)).toBe(0);
    expect(kept(node)).toEqual([63, 0, 63, 0]);
  });

  it('count with what of the namespace runs', () => {
    const node = open(4 * page);
    keep(node, 0, owner(64, a));
    keep(node, 1, owner(64, b));
    node.memory.take(owner(128, b, 500), 2);
    expect(node.memory.take(owner(64, c), 3)).toBe(0);
    expect(kept(node)).toEqual([63, 0, 0, 0]);
  });

  it('of a namespace within what is guaranteed to it stay, and a row of others waits that has no other room', () => {
    const node = open(4 * page);
    keep(node, 0, owner(64, sure));
    keep(node, 1, owner(64, b));
    expect(node.memory.take(owner(64, b, 500), 2)).toBe(0);
    expect(node.memory.take(owner(192, c), 3)).toBeUndefined();
    expect(node.memory.take(owner(128, c), 3)).toBe(0);
    expect(kept(node)).toEqual([63, 0, 0, 0]);
    expect(node.memory.grow(3, 129)).toBe(false);
  });

  it('make way for rows of their own namespace', () => {
    const node = open(2 * page);
    keep(node, 0, owner(64, sure));
    node.memory.take(owner(64, b), 1);
    expect(node.memory.take(owner(64, sure, 500), 2)).toBe(0);
    expect(kept(node)[0]).toBe(0);
  });

  it('make way for a request that could not run at all else', () => {
    const node = open(4 * page);
    keep(node, 0, owner(64, sure));
    expect(node.memory.take(owner(256, b), 1)).toBe(0);
    expect(kept(node)[0]).toBe(0);
    const growing = open(4 * page);
    keep(growing, 0, owner(64, sure));
    growing.memory.take(owner(64, b), 1);
    expect(growing.memory.grow(1, 256)).toBe(true);
    expect(kept(growing)[0]).toBe(0);
  });

  it('are not copied out of a row that is needed in the place of what is guaranteed to others', () => {
    const node = open(2 * page);
    keep(node, 0, owner(64, sure));
    keep(node, 1, owner(64, b));
    // Its row is needed.
    expect(node.memory.take(owner(64, c), 1)).toBe(0);
    expect(kept(node)).toEqual([63, 0, 0, 0]);
    expect(node.memory.usedBytes).toBe(2 * page);
  });

  it('of those that are paused stay within what is guaranteed to their namespace', () => {
    const node = open(3 * page);
    keep(node, 0, owner(64, sure), true);
    keep(node, 1, owner(64, b), true);
    expect(node.memory.take(owner(128, c), 2)).toBe(0);
    expect(kept(node)).toEqual([63, 0, 0, 0]);
  });
});

describe('a row', () => {
  it('is owed to a namespace within what is guaranteed to it, beside its others', () => {
    const { memory } = open(8 * page);
    const two = { namespace: 'a', kvGuaranteed: 2 * page };
    expect(memory.isOwed(owner(128, two))).toBe(true);
    expect(memory.isOwed(owner(129, two))).toBe(false);
    expect(memory.isOwed(owner(1, b))).toBe(false);
    memory.take(owner(64, two), 0);
    expect(memory.isOwed(owner(64, two))).toBe(true);
    expect(memory.isOwed(owner(65, two))).toBe(false);
    expect(memory.bytesOf(0)).toBe(page);
  });

  it('fits in the place of one that is paused only beyond what that keeps for sure', () => {
    const node = open(2 * page);
    for (const [row, one] of [owner(64, sure), owner(64, b)].entries()) {
      node.memory.take(one, row);
      write(node.kv, row, 63, row);
    }
    expect(node.memory.fitsWithout(owner(64, c), [0])).toBe(false);
    expect(node.memory.fitsWithout(owner(64, c), [1])).toBe(true);
  });

  it('of another namespace has no room beside what one keeps for sure, nor beside its rows', () => {
    const node = open(4 * page);
    const two = { namespace: 'a', kvGuaranteed: 2 * page };
    keep(node, 0, owner(128, two));
    expect(node.memory.fitsBeside(owner(128, b), [])).toBe(true);
    expect(node.memory.fitsBeside(owner(192, b), [])).toBe(false);
    // By itself it has it.
    expect(node.memory.fitsWithout(owner(192, b), [])).toBe(true);
    node.memory.take(owner(64, c), 1);
    expect(node.memory.fitsBeside(owner(128, b), [])).toBe(true);
    expect(node.memory.fitsBeside(owner(128, b), [1])).toBe(false);
    expect(node.memory.fitsBeside(owner(192, two, 5), [])).toBe(true);
  });
});
