import { platform } from 'node:os';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Arena, type Block } from './arena.ts';

const slack = 1 << 20;

/** A block whose owner filled it with one value and follows its moves. */
type Owned = { readonly block: Block; readonly value: number; seenAt: number };

const own = (arena: Arena, bytes: number, value: number): Owned => {
  const owned: { current?: Owned } = {};
  const block = arena.allocate(bytes, () => {
    if (owned.current !== undefined) owned.current.seenAt = owned.current.block.offset;
  });
  new Uint8Array(arena.buffer, block.offset, bytes).fill(value);
  owned.current = { block, value, seenAt: block.offset };
  return owned.current;
};

const isWhole = (arena: Arena, { block, value, seenAt }: Owned): boolean =>
  seenAt === block.offset &&
  new Uint8Array(arena.buffer, seenAt, block.bytes).every((byte) => byte === value);

describe('the arena', () => {
  it('never loses or overlaps a byte, whatever comes and goes, and tells owners of every move', () => {
    const action = fc.oneof(
      fc.record({ kind: fc.constant('allocate' as const), bytes: fc.integer({ min: 1, max: 600_000 }) }),
      fc.record({ kind: fc.constant('free' as const), which: fc.nat() }),
    );
    fc.assert(
      fc.property(fc.array(action, { maxLength: 60 }), (actions) => {
        const arena = new Arena(1 << 20);
        const held: Owned[] = [];
        let next = 1;
        for (const step of actions) {
          if (step.kind === 'free') {
            const [gone] = held.splice(step.which % Math.max(1, held.length), 1);
            if (gone !== undefined) arena.free(gone.block);
          } else {
            const rounded = held.reduce((sum, { block }) => sum + Math.ceil(block.bytes / 64) * 64, 0);
            const fits = rounded + Math.ceil(step.bytes / 64) * 64 <= arena.buffer.byteLength;
            if (fits) held.push(own(arena, step.bytes, (next = (next % 255) + 1)));
            else expect(() => arena.allocate(step.bytes, () => undefined)).toThrow(/bytes are needed/);
          }
          expect(held.every((owned) => isWhole(arena, owned))).toBe(true);
          expect(held.every(({ block }) => block.offset % 64 === 0)).toBe(true);
        }
        expect(arena.usedBytes).toBe(held.reduce((sum, { block }) => sum + block.bytes, 0));
      }),
      { numRuns: 60 },
    );
  });

  it.runIf(platform() === 'linux')(
    'gives the pages of gaps back when it is told to, and no byte of a block',
    () => {
      const arena = new Arena(1 << 20);
      const blocks = Array.from({ length: 5 }, (_, index) => own(arena, 100_000, index + 1));
      const [first, second, third, fourth, last] = blocks;
      if (!first || !second || !third || !fourth || !last) throw new Error('five were made');
      /** Bytes that are not zero: a page that was given back comes back empty. */
      const written = ({ block }: Owned): number =>
        new Uint8Array(arena.buffer, block.offset, block.bytes).reduce(
          (sum, byte) => sum + Number(byte > 0),
          0,
        );
      arena.free(second.block);
      expect(written(second)).toBe(100_000);
      arena.givesBack = true;
      expect(written(second)).toBeLessThan(2 * 4096);
      arena.free(fourth.block);
      arena.free(last.block);
      expect([written(fourth), written(last)].every((bytes) => bytes < 2 * 4096)).toBe(true);
      expect([first, third].every((owned) => isWhole(arena, owned))).toBe(true);
      const again = own(arena, 100_000, 9);
      arena.givesBack = false;
      arena.free(again.block);
      expect(written(again)).toBe(100_000);
    },
  );

  it('holds as many bytes as its budget says, although blocks are rounded up', () => {
    const arena = new Arena(10_000);
    for (let count = 0; count < 100; count += 1) arena.allocate(100, () => undefined);
    expect(arena.usedBytes).toBe(10_000);
  });

  it('moves no block that need not move', () => {
    const arena = new Arena(0);
    const quarter = slack / 4;
    const moved: string[] = [];
    const [a, , c] = ['a', 'b', 'c', 'd'].map((name) => arena.allocate(quarter, () => moved.push(name)));
    arena.free(a!);
    arena.free(c!);
    arena.allocate(2 * quarter, () => undefined);
    expect(moved).toEqual(['b']);
  });

  it('says how much is free when there is no room', () => {
    const arena = new Arena(4096);
    expect(() => arena.allocate(2 * slack, () => undefined)).toThrow(
      expect.objectContaining({
        code: 'ADAPTER_MEMORY_FULL',
        message: expect.stringContaining('4096 of 4096 are free'),
      }),
    );
  });

  it('refuses to free a block twice', () => {
    const arena = new Arena(4096);
    const block = arena.allocate(10, () => undefined);
    arena.free(block);
    expect(() => arena.free(block)).toThrow(/no block/);
  });
});
