import { describe, expect, it } from 'vitest';
import { copyBytes } from '../session/kv-rows.ts';
import { expectTokens, FakeOwner, idsOf, open, page, write } from './kv-memory.fixture.ts';

/** So many tokens, which are all that there will be. */
const fixed = (tokens: number): FakeOwner =>
  new FakeOwner(idsOf(tokens, 1000 * tokens), { most: tokens, shares: false });

/** Has its tokens computed, as its values of a seed. */
const fill = ({ kv }: ReturnType<typeof open>, row: number, owner: FakeOwner, seed: number): void => {
  owner.filled = owner.ids.length - 1;
  write(kv, row, owner.filled, seed);
};

/** A request that has a row and ends, or is paused; its values are those of the seed. */
const over = (
  all: ReturnType<typeof open>,
  row: number,
  owner: FakeOwner,
  { seed = 1, paused = false } = {},
): void => {
  expect(all.memory.take(owner, row)).toBeDefined();
  fill(all, row, owner, seed);
  all.memory.leave(row, { kept: true, paused });
};

describe('room for what runs', () => {
  it('is taken by pages as it grows, and refused beyond the budget until others end', () => {
    const { memory } = open(4 * page);
    const owner = fixed(65);
    expect(memory.take(owner, 0)).toBe(0);
    expect(memory.usedBytes).toBe(2 * page);
    expect(memory.take(fixed(129), 1)).toBeUndefined();
    expect(memory.take(fixed(64), 1)).toBe(0);
    expect([memory.grow(0, 128), memory.usedBytes]).toEqual([true, 3 * page]);
    expect([memory.grow(0, 129), memory.usedBytes]).toEqual([true, 4 * page]);
    expect([memory.grow(1, 65), memory.usedBytes]).toEqual([false, 4 * page]);
    memory.leave(1, { kept: false });
    expect(memory.take(fixed(1), 2)).toBeUndefined();
    memory.leave(0, { kept: false });
    expect(memory.take(fixed(64), 2)).toBe(0);
  });

  it('is given to a newcomer where all have it for some more tokens', () => {
    const { memory } = open(6 * page);
    const [first, second] = [new FakeOwner(idsOf(64)), new FakeOwner(idsOf(64))];
    expect(memory.take(first, 0)).toBe(0);
    expect(memory.take(second, 1)).toBe(0);
    expect(memory.usedBytes).toBe(2 * page);
    expect(memory.take(new FakeOwner(idsOf(1)), 2)).toBeUndefined();
    // That first is to be longer counts at once.
    memory.leave(1, { kept: false });
    first.ids = idsOf(192);
    expect(memory.take(second, 1)).toBeUndefined();
    expect(memory.fitsWithout(second, [])).toBe(false);
    expect(memory.fitsWithout(second, [0])).toBe(true);
  });

  it('that one sequence alone does not have is a defect', () => {
    const { memory } = open(2 * page);
    memory.take(fixed(64), 0);
    expect(() => memory.grow(0, 129)).toThrow(expect.objectContaining({ code: 'INTERNAL' }));
  });

  it('goes with a sequence that moves to another row', () => {
    const all = open(4 * page);
    const owner = fixed(256);
    all.memory.take(owner, 3);
    write(all.kv, 3, 70, 1);
    expect(all.memory.move(3, 0, 70)).toBe(true);
    expectTokens(all.kv, 0, 70, 1);
    expect(all.memory.usedBytes).toBe(4 * page);
    expect(all.memory.take(fixed(1), 1)).toBeUndefined();
    all.memory.leave(0, { kept: false });
    expect(all.memory.take(owner, 1)).toBe(0);
  });

  it('stays in its row where there is none to copy it', () => {
    const all = open(4 * page);
    const owner = fixed(256);
    all.memory.take(owner, 3);
    write(all.kv, 3, 256, 1);
    expect(all.memory.move(3, 0, 256)).toBe(false);
    expectTokens(all.kv, 3, 256, 1);
    expect(all.memory.take(fixed(1), 1)).toBeUndefined();
  });

  it('counts what a step writes into each row that rides along between others', () => {
    const all = open(6 * page);
    over(all, 1, new FakeOwner(idsOf(65), { most: 65 }));
    expect(all.memory.take(fixed(64), 0)).toBe(0);
    expect(all.memory.usedBytes).toBe(2 * page);
    expect(all.memory.take(fixed(64), 3)).toBe(0);
    // Behind 64 tokens that are kept, and at the beginning of an empty row.
    expect(all.memory.restingTokens(1)).toBe(64);
    expect(all.memory.usedBytes).toBe(5 * page);
    for (const row of [1, 2]) all.kv.writes(row, all.memory.restingTokens(row) + 1);
    expect(all.memory.usedBytes).toBe(5 * page);
  });
});

describe('a beginning that is kept', () => {
  it('stays in its row for the one that goes on from it', () => {
    const all = open(16 * page);
    over(all, 2, new FakeOwner(idsOf(51)));
    const next = new FakeOwner([...idsOf(51), 7, 8, 9]);
    expect(all.memory.restingRow(next)).toBe(2);
    expect(all.memory.take(next, 2)).toBe(50);
    expectTokens(all.kv, 2, 50, 1);
    expect(all.memory.restingTokens(2)).toBe(0);
  });

  it('is copied for one that has another row, and stays', () => {
    const all = open(16 * page);
    over(all, 0, new FakeOwner(idsOf(101)));
    const next = new FakeOwner([...idsOf(70), 99, 98]);
    expect(all.memory.restingRow(next)).toBeUndefined();
    expect(all.memory.take(next, 2)).toBe(70);
    expectTokens(all.kv, 2, 70, 1);
    expect(all.memory.restingTokens(0)).toBe(100);
  });

  it('is copied from the row of one that runs, as far as that has come, also later', () => {
    const all = open(16 * page);
    const [first, second] = [new FakeOwner(idsOf(150)), new FakeOwner([...idsOf(140), 7, 8])];
    all.memory.take(first, 0);
    expect(all.memory.take(second, 1)).toBe(0);
    first.filled = 64;
    write(all.kv, 0, 64, 1);
    expect(all.memory.reuse(1)).toBe(64);
    second.filled = 64;
    fill(all, 0, first, 1);
    expect(all.memory.reuse(1)).toBe(140);
    expectTokens(all.kv, 1, 140, 1);
    second.filled = 140;
    expect(all.memory.reuse(1)).toBe(140);
  });

  it('leaves one token to be run: its logits are needed', () => {
    const all = open(16 * page);
    over(all, 0, new FakeOwner(idsOf(51)));
    expect(all.memory.take(new FakeOwner(idsOf(50)), 1)).toBe(49);
    expect(all.memory.take(new FakeOwner(idsOf(17)), 2)).toBe(16);
    expect(all.memory.take(new FakeOwner(idsOf(16)), 3)).toBe(0);
  });

  it('of fewer than 16 tokens is not worth it', () => {
    const all = open(16 * page);
    over(all, 0, new FakeOwner(idsOf(16)));
    expect([all.memory.restingTokens(0), all.memory.usedBytes]).toEqual([0, 0]);
    over(all, 0, new FakeOwner(idsOf(17)));
    expect(all.memory.restingTokens(0)).toBe(16);
    expect(all.memory.take(new FakeOwner([...idsOf(15), 99, ...idsOf(40)]), 1)).toBe(0);
  });

  it('is of its key only', () => {
    const all = open(16 * page);
    over(all, 0, new FakeOwner(idsOf(101)));
    const other = new FakeOwner(idsOf(101), { key: 'b' });
    expect(all.memory.restingRow(other)).toBeUndefined();
    expect(all.memory.take(other, 1)).toBe(0);
    other.filled = 100;
    // In blocks, in rows that are free and in rows that are taken.
    over(all, 0, new FakeOwner(idsOf(200, 500)));
    expect(all.memory.take(new FakeOwner(idsOf(101), { key: 'c' }), 2)).toBe(0);
    expect(all.memory.take(new FakeOwner(idsOf(101)), 3)).toBe(100);
  });

  it('of one that shares nothing is gone with it', () => {
    const all = open(16 * page);
    over(all, 0, new FakeOwner(idsOf(101), { shares: false }));
    expect(all.memory.usedBytes).toBe(0);
  });

  it('of what a failed step computed is not kept', () => {
    const all = open(16 * page);
    const owner = new FakeOwner(idsOf(101));
    all.memory.take(owner, 0);
    fill(all, 0, owner, 1);
    all.memory.leave(0, { kept: false });
    expect([all.memory.restingTokens(0), all.kv.heldBytes(0)]).toEqual([0, 0]);
  });

  it('takes the place of those that it goes on from', () => {
    const all = open(16 * page);
    const first = new FakeOwner(idsOf(101));
    over(all, 0, first);
    const next = new FakeOwner(idsOf(151));
    all.memory.take(next, 1);
    fill(all, 1, next, 1);
    all.memory.leave(1, { kept: true });
    expect([0, 1].map((row) => all.memory.restingTokens(row))).toEqual([0, 150]);
  });

  it('goes into blocks when its row is needed, each held once, and comes back from there', () => {
    const all = open(32 * page);
    const [one, two] = [
      [...idsOf(130), ...idsOf(40, 600)],
      [...idsOf(130), ...idsOf(40, 700)],
    ];
    over(all, 0, new FakeOwner(one));
    over(all, 0, new FakeOwner(idsOf(120, 900)));
    const first = all.memory.usedBytes;
    over(all, 1, new FakeOwner(two));
    over(all, 1, new FakeOwner(idsOf(120, 300)));
    // Two blocks of both are the same: what is added is a row, and the rest of the second.
    expect(all.memory.usedBytes - first).toBe(2 * page + all.kv.savedBytes(169 - 128));
    for (const ids of [one, two]) {
      expect(all.memory.take(new FakeOwner(ids), 2)).toBe(169);
      expectTokens(all.kv, 2, 169, 1);
      all.memory.leave(2, { kept: false });
    }
    expect(all.memory.take(new FakeOwner([...one.slice(0, 100), 1, 2, 3]), 2)).toBe(100);
    expectTokens(all.kv, 2, 100, 1);
  });

  it('makes way for what runs: the one that was used longest ago first, from its end', () => {
    const all = open(8 * page);
    over(all, 0, new FakeOwner(idsOf(193)));
    over(all, 1, new FakeOwner(idsOf(129, 300)));
    expect(all.memory.usedBytes).toBe(5 * page);
    expect(all.memory.take(fixed(256), 2)).toBe(0);
    expect([0, 1].map((row) => all.memory.restingTokens(row))).toEqual([128, 128]);
    all.memory.grow(2, 257);
    expect([0, 1].map((row) => all.memory.restingTokens(row))).toEqual([64, 128]);
    expect(all.memory.take(fixed(64), 3)).toBe(0);
    expect([0, 1].map((row) => all.memory.restingTokens(row))).toEqual([0, 128]);
    expect(all.memory.usedBytes).toBeLessThanOrEqual(8 * page);
  });

  it('is saved in blocks only as far as the budget has room', () => {
    const all = open(4 * page);
    over(all, 0, new FakeOwner(idsOf(193), { most: 193 }));
    expect(all.memory.take(fixed(256), 0)).toBe(0);
    expect(all.memory.usedBytes).toBe(4 * page);
    all.memory.leave(0, { kept: false });
    expect(all.memory.usedBytes).toBe(0);
  });

  it('that a sequence moves over is saved', () => {
    const all = open(16 * page + copyBytes);
    over(all, 1, new FakeOwner(idsOf(101)));
    const runs = fixed(70);
    all.memory.take(runs, 3);
    write(all.kv, 3, 70, 5);
    expect(all.memory.move(3, 1, 70)).toBe(true);
    expectTokens(all.kv, 1, 70, 5);
    expect(all.memory.take(new FakeOwner(idsOf(101)), 0)).toBe(100);
  });
});

describe('a sequence that is paused', () => {
  it('finds what is there of it, shared or not, in its row or after that was needed', () => {
    const all = open(16 * page);
    for (const shares of [true, false]) {
      const owner = new FakeOwner(idsOf(101), { key: String(shares), shares });
      over(all, 0, owner, { paused: true });
      expect(all.memory.restingRow(owner)).toBe(0);
      over(all, 0, new FakeOwner(idsOf(120, 900)));
      expect(all.memory.take(owner, 1)).toBe(100);
      expectTokens(all.kv, 1, 100, 1);
      all.memory.leave(1, { kept: false });
    }
  });

  it('loses it after all that nobody waits for, until it is forgotten', () => {
    const all = open(8 * page);
    const owner = new FakeOwner(idsOf(129));
    over(all, 0, owner, { paused: true });
    over(all, 1, new FakeOwner(idsOf(129, 300)));
    expect(all.memory.take(fixed(384), 2)).toBe(0);
    expect([0, 1].map((row) => all.memory.restingTokens(row))).toEqual([128, 0]);
    all.memory.leave(2, { kept: false });
    all.memory.forget(owner);
    over(all, 1, new FakeOwner(idsOf(129, 300)));
    expect(all.memory.take(fixed(384), 2)).toBe(0);
    expect([0, 1].map((row) => all.memory.restingTokens(row))).toEqual([0, 128]);
  });

  it('is one like others once it is back', () => {
    const all = open(8 * page);
    const owner = new FakeOwner(idsOf(129));
    over(all, 0, owner, { paused: true });
    expect(all.memory.take(owner, 0)).toBe(128);
    all.memory.leave(0, { kept: true });
    over(all, 1, new FakeOwner(idsOf(129, 300)));
    expect(all.memory.take(fixed(384), 2)).toBe(0);
    expect([0, 1].map((row) => all.memory.restingTokens(row))).toEqual([0, 128]);
  });
});
