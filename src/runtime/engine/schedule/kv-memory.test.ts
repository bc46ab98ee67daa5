import { describe, expect, it } from 'vitest';
import { copyBytes } from '../session/kv-rows.ts';
import { expectTokens, idsOf, open, page, write } from './kv-memory.fixture.ts';

/** What tokens take that are saved: 512 bytes each, in whole pages. */
const saved = (tokens: number): number => Math.ceil((tokens * 512) / 4096) * 4096;

describe('room for requests', () => {
  it('is reserved for their longest case, and refused beyond the budget until others end', () => {
    const { memory } = open(4 * page);
    expect(memory.reserve({}, 0, 65)).toBe(true);
    expect(memory.usedBytes).toBe(2 * page);
    expect(memory.reserve({}, 1, 129)).toBe(false);
    expect(memory.usedBytes).toBe(2 * page);
    expect(memory.reserve({}, 1, 128)).toBe(true);
    expect(memory.reserve({}, 2, 1)).toBe(false);
    memory.free(1);
    expect(memory.reserve({}, 2, 64)).toBe(true);
  });

  it('goes with a sequence that moves to another row', () => {
    const { memory, kv } = open(4 * page);
    memory.reserve({}, 3, 256);
    write(kv, 3, 70, 1);
    expect(memory.move(3, 0, 70)).toBe(true);
    expectTokens(kv, 0, 70, 1);
    expect(memory.usedBytes).toBe(4 * page);
    expect(memory.reserve({}, 1, 1)).toBe(false);
    memory.free(0);
    expect(memory.reserve({}, 1, 256)).toBe(true);
  });

  it('stays in its row where there is none to copy it', () => {
    const { memory, kv } = open(4 * page);
    memory.reserve({}, 3, 256);
    write(kv, 3, 256, 1);
    expect(memory.move(3, 0, 256)).toBe(false);
    expectTokens(kv, 3, 256, 1);
    expect(memory.reserve({}, 1, 1)).toBe(false);
    memory.free(3);
    expect(memory.reserve({}, 1, 256)).toBe(true);
  });

  it('counts a page per head of each row that rides along between others', () => {
    const { memory, kv } = open(4 * page);
    expect(memory.reserve({}, 0, 64)).toBe(true);
    expect(memory.reserve({}, 3, 128)).toBe(false);
    expect(memory.reserve({}, 3, 64)).toBe(true);
    for (const row of [1, 2]) kv.writes(row, 1);
    expect(memory.usedBytes).toBe(4 * page);
    expect(memory.reserve({}, 1, 64)).toBe(true);
    memory.free(0);
    expect(memory.reserve({}, 2, 128)).toBe(true);
    expect(memory.usedBytes).toBe(4 * page);
  });

  it('is not taken up by what was written into a row before', () => {
    const { memory, kv } = open(4 * page);
    memory.reserve({}, 0, 256);
    write(kv, 0, 256, 1);
    memory.free(0);
    expect(memory.reserve({}, 0, 10)).toBe(true);
    expect(memory.reserve({}, 1, 192)).toBe(true);
    expect(memory.usedBytes).toBe(4 * page);
  });

  it('is made of free rows, which give their memory back', () => {
    const { memory, kv } = open(4 * page);
    memory.reserve({}, 0, 256);
    write(kv, 0, 256, 1);
    memory.free(0);
    expect(memory.usedBytes).toBe(4 * page);
    expect(memory.reserve({}, 1, 64)).toBe(true);
    expect(memory.usedBytes).toBe(page);
    expect(kv.heldBytes(0)).toBe(0);
  });
});

describe('a sequence that is paused', () => {
  it('comes back with every byte, in another row', () => {
    const { memory, kv } = open(8 * page);
    const owner = {};
    memory.reserve(owner, 0, 100);
    write(kv, 0, 70, 1);
    memory.pause(owner, 0, 70);
    expect(memory.usedBytes).toBe(saved(70));
    memory.reserve({}, 0, 100);
    write(kv, 0, 100, 2);
    expect(memory.reserve(owner, 1, 100)).toBe(true);
    expect(memory.resume(owner, 1)).toBe(70);
    expectTokens(kv, 1, 70, 1);
    expect(memory.usedBytes).toBe(4 * page);
  });

  it('has nothing to come back to a second time, nor once it is forgotten', () => {
    const { memory, kv } = open(8 * page);
    const [owner, other] = [{}, {}];
    for (const [row, who] of [owner, other].entries()) {
      memory.reserve(who, row, 20);
      write(kv, row, 20, row + 1);
      memory.pause(who, row, 20);
    }
    memory.forget(other);
    expect(memory.resume(other, 1)).toBe(0);
    expect(memory.resume(owner, 1)).toBe(20);
    expect(memory.resume(owner, 2)).toBe(0);
    memory.forget(owner);
  });

  it('leaves its room to others, less what is saved, which does not stand in its own way', () => {
    const { memory, kv } = open(4 * page);
    const owner = {};
    memory.reserve(owner, 0, 256);
    write(kv, 0, 64, 1);
    expect(memory.canPause(0, 64)).toBe(false);
    expect(memory.reserve({}, 1, 1)).toBe(false);
    const wider = open(5 * page + copyBytes);
    wider.memory.reserve(owner, 0, 256);
    write(wider.kv, 0, 64, 1);
    expect(wider.memory.canPause(0, 64)).toBe(true);
    wider.memory.pause(owner, 0, 64);
    expect(wider.memory.reserve({}, 1, 321)).toBe(false);
    expect(wider.memory.reserve({}, 1, 320)).toBe(true);
    wider.memory.free(1);
    expect(wider.memory.reserve(owner, 0, 256)).toBe(true);
    expect(wider.memory.resume(owner, 0)).toBe(64);
  });

  it('comes back into what is left beside others: what is saved for it goes there', () => {
    const { memory, kv } = open(4 * page + copyBytes);
    const [owner, other] = [{}, {}];
    for (const [row, who] of [owner, other].entries()) memory.reserve(who, row, 128);
    write(kv, 0, 64, 1);
    memory.pause(owner, 0, 64);
    expect(memory.reserve({}, 0, 129)).toBe(false);
    expect(memory.reserve(owner, 0, 128)).toBe(true);
    expect(memory.resume(owner, 0)).toBe(64);
    expect(memory.usedBytes).toBe(4 * page);
  });

  it('is refused where it, or one that is paused already, could not come back beside the others', () => {
    const { memory, kv } = open(5 * page + copyBytes);
    const [long, short] = [{}, {}];
    memory.reserve(long, 0, 256);
    write(kv, 0, 40, 1);
    expect(memory.canPause(0, 40)).toBe(true);
    memory.pause(long, 0, 40);
    memory.reserve(short, 1, 128);
    write(kv, 1, 30, 2);
    expect(memory.canPause(1, 24)).toBe(true);
    expect(memory.canPause(1, 25)).toBe(false);
  });
});

describe('room that others could make', () => {
  it('is what is reserved for them less what is saved of them', () => {
    const { memory, kv } = open(4 * page);
    const [owner, other] = [{}, {}];
    for (const [row, who] of [owner, other].entries()) memory.reserve(who, row, 128);
    const both = [0, 1].map((row) => ({ row, tokens: 64 }));
    expect(memory.fitsWithout({}, 1, [])).toBe(false);
    expect(memory.fitsWithout({}, 64, both.slice(1))).toBe(true);
    expect(memory.fitsWithout({}, 65, both.slice(1))).toBe(false);
    expect(memory.fitsWithout({}, 128, both)).toBe(true);
    expect(memory.fitsWithout({}, 129, both)).toBe(false);
    write(kv, 0, 64, 1);
    memory.pause(owner, 0, 64);
    expect(memory.fitsWithout({}, 65, [])).toBe(false);
    expect(memory.fitsWithout(owner, 128, [])).toBe(true);
  });
});

describe('prefixes of conversations', () => {
  /** Keeps tokens of a request that is over. */
  const keep = (
    { memory, kv }: ReturnType<typeof open>,
    key: string,
    tokens: number,
    { seed = 1, row = 0, from = 0 } = {},
  ): void => {
    write(kv, row, tokens, seed);
    memory.keep(key, idsOf(tokens, from), row);
  };

  it('are put into a row as far as a request begins like them', () => {
    const { memory, kv } = open(16 * page);
    keep({ memory, kv }, 'a', 50);
    expect(memory.reuse('a', [...idsOf(30), 99, 98], 2)).toBe(30);
    expectTokens(kv, 2, 30, 1);
    expect(memory.reuse('a', idsOf(80), 3)).toBe(50);
    expectTokens(kv, 3, 50, 1);
  });

  it('leave one token to be run: its logits are needed', () => {
    const { memory, kv } = open(16 * page);
    keep({ memory, kv }, 'a', 50);
    expect(memory.reuse('a', idsOf(50), 1)).toBe(49);
    expect(memory.reuse('a', idsOf(17), 1)).toBe(16);
    expect(memory.reuse('a', idsOf(16), 1)).toBe(0);
  });

  it('are not used where fewer than 16 tokens are the same, nor kept of fewer', () => {
    const { memory, kv } = open(16 * page);
    keep({ memory, kv }, 'a', 50);
    expect(memory.reuse('a', [...idsOf(15), 99, ...idsOf(40)], 1)).toBe(0);
    expect(memory.reuse('a', [...idsOf(16), 99, ...idsOf(40)], 1)).toBe(16);
    expect(memory.reuse('a', idsOf(40, 1), 1)).toBe(0);
    keep({ memory, kv }, 'b', 15);
    expect(memory.prefixes).toBe(1);
    keep({ memory, kv }, 'b', 16);
    expect(memory.prefixes).toBe(2);
  });

  it('are of their key only, and of its latest request', () => {
    const { memory, kv } = open(16 * page);
    keep({ memory, kv }, 'a', 50);
    expect(memory.reuse('b', idsOf(50), 1)).toBe(0);
    keep({ memory, kv }, 'a', 40, { seed: 2, from: 100 });
    expect(memory.prefixes).toBe(1);
    expect(memory.reuse('a', idsOf(50), 1)).toBe(0);
    expect(memory.reuse('a', idsOf(50, 100), 1)).toBe(40);
    expectTokens(kv, 1, 40, 2);
    keep({ memory, kv }, 'a', 10);
    expect(memory.reuse('a', idsOf(50, 100), 1)).toBe(0);
  });

  it('make way for requests, those that were used longest ago first', () => {
    const { memory, kv } = open(4 * page);
    // Of 128 bytes less than a page each; rows hold nothing once they are needed.
    for (const key of ['a', 'b', 'c']) keep({ memory, kv }, key, 60);
    expect(memory.reserve({}, 1, 64)).toBe(true);
    expect(memory.prefixes).toBe(3);
    expect(memory.reuse('a', idsOf(61), 1)).toBe(60);
    expect(memory.reserve({}, 2, 64)).toBe(true);
    expect(memory.prefixes).toBe(2);
    expect(memory.reuse('b', idsOf(61), 3)).toBe(0);
    expect(memory.reserve({}, 3, 64)).toBe(true);
    expect(memory.reuse('c', idsOf(61), 3)).toBe(0);
    expect(memory.reuse('a', idsOf(61), 3)).toBe(60);
    expect(memory.reserve({}, 0, 64)).toBe(true);
    expect(memory.prefixes).toBe(0);
  });

  it('wait for the request that they are for, although its room takes all that there is', () => {
    const { memory, kv } = open(2 * page);
    memory.reserve({}, 0, 64);
    write(kv, 0, 40, 5);
    memory.free(0);
    memory.keep('mine', idsOf(40), 0);
    expect(memory.reserve({}, 1, 128, 'mine')).toBe(true);
    expect(memory.reuse('mine', idsOf(50), 1)).toBe(40);
    expectTokens(kv, 1, 40, 5);
    expect(memory.usedBytes).toBeLessThanOrEqual(2 * page);
  });

  it('are kept of a request that ends although all memory is reserved for it', () => {
    const { memory, kv } = open(4 * page);
    memory.reserve({}, 0, 256);
    write(kv, 0, 60, 1);
    memory.free(0);
    memory.keep('a', idsOf(60), 0);
    expect(memory.usedBytes).toBeLessThanOrEqual(4 * page);
    expect(memory.reuse('a', idsOf(61), 1)).toBe(60);
    expectTokens(kv, 1, 60, 1);
  });

  it('are kept only as far as the budget has room', () => {
    const { memory, kv } = open(page);
    memory.reserve({}, 0, 64);
    keep({ memory, kv }, 'a', 60);
    expect(memory.prefixes).toBe(0);
    expect(memory.usedBytes).toBe(page);
  });
});
