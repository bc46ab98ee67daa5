import * as fc from 'fast-check';
import { afterEach, describe, expect, it, vi } from 'vitest';
import type * as Libc from '../ort/libc.ts';
import { pagedShape, writeToken } from '../session/kv-rows.fixture.ts';
import type { KvRows } from '../session/kv-rows.ts';
import { expectTokens, FakeOwner, idsOf, open, page, rows, write } from './kv-memory.fixture.ts';

/** What the system gave: pages of reserved addresses that were written to, and blocks. */
const given = vi.hoisted(() => {
  const size = 4096n;
  const areas = new Map<bigint, bigint>();
  const pages = new Set<bigint>();
  const blocks = new Map<bigint, number>();
  const eachPage = (at: bigint, bytes: number, visit: (number: bigint) => void): void => {
    for (let number = at / size; number * size < at + BigInt(bytes); number += 1n) visit(number);
  };
  const isReserved = (at: bigint): boolean =>
    [...areas].some(([start, bytes]) => at >= start && at < start + bytes);
  const counter = {
    peak: 0,
    now: (): number =>
      pages.size * Number(size) + [...blocks.values()].reduce((sum, bytes) => sum + bytes, 0),
    reserved: (at: bigint, bytes: number): void => void areas.set(at, BigInt(bytes)),
    unreserved: (at: bigint, bytes: number): void => {
      eachPage(at, bytes, (number) => pages.delete(number));
      areas.delete(at);
    },
    discarded: (at: bigint, bytes: number): void => eachPage(at, bytes, (number) => pages.delete(number)),
    allocated: (at: bigint, bytes: number): void => void blocks.set(at, bytes),
    freed: (at: bigint): void => void blocks.delete(at),
    written: (at: bigint, bytes: number): void => {
      if (isReserved(at)) eachPage(at, bytes, (number) => pages.add(number));
      counter.peak = Math.max(counter.peak, counter.now());
    },
  };
  return counter;
});

vi.mock('../ort/libc.ts', async (importOriginal) => {
  const libc = await importOriginal<typeof Libc>();
  return {
    ...libc,
    reserve: (bytes: number) => {
      const at = libc.reserve(bytes);
      given.reserved(at, bytes);
      return at;
    },
    unreserve: (at: bigint, bytes: number) => {
      given.unreserved(at, bytes);
      libc.unreserve(at, bytes);
    },
    discard: (at: bigint, bytes: number) => {
      given.discarded(at, bytes);
      libc.discard(at, bytes);
    },
    allocate: (bytes: number, alignment: number) => {
      const at = libc.allocate(bytes, alignment);
      given.allocated(at, bytes);
      return at;
    },
    free: (at: bigint) => {
      given.freed(at);
      libc.free(at);
    },
    copy: (to: bigint, from: bigint, bytes: number) => {
      given.written(to, bytes);
      libc.copy(to, from, bytes);
    },
  } satisfies typeof Libc;
});

let peak = 0;
let counted = 0;
/** The most that there was within a call, less what there was before this file's memory. */
const within = <T>(call: () => T): T => {
  given.peak = given.now();
  const result = call();
  peak = Math.max(peak, given.peak - counted);
  return result;
};
/** What there is now, after a step. */
const count = (): void => {
  peak = Math.max(peak, given.now() - counted);
};
afterEach(() => {
  peak = 0;
});

/** Tokens whose values are known: up to `cut` those of the key, then those of the tail. */
type Text = { readonly key: string; readonly cut: number; readonly tail: number };

class Sequence extends FakeOwner {
  readonly text: Text;

  constructor(text: Text, tokens: number, most: number) {
    super(idsUpTo(text, tokens), { key: text.key, most });
    this.text = text;
  }

  /** Its next tokens are computed. */
  run(kv: KvRows, row: number, filled: number): void {
    const { key, cut, tail } = this.text;
    const first = this.filled;
    this.filled = filled;
    write(kv, row, Math.min(cut, filled), key.charCodeAt(0) - 96, first);
    write(kv, row, filled, 4 + tail, Math.max(cut, first));
    count();
  }

  expectIn(kv: KvRows, row: number, filled = this.filled): void {
    const { key, cut, tail } = this.text;
    expectTokens(kv, row, Math.min(cut, filled), key.charCodeAt(0) - 96);
    if (filled > cut) expectTokens(kv, row, filled, 4 + tail, cut);
  }

  answer(): void {
    this.ids = idsUpTo(this.text, this.ids.length + 1);
  }
}

const idsUpTo = ({ cut, tail }: Text, tokens: number): readonly number[] => [
  ...idsOf(Math.min(cut, tokens)),
  ...idsOf(Math.max(0, tokens - cut), 1000 * (1 + tail)),
];

/** What `RunningBatch` does with the memory, with steps that are copies. */
class Machine {
  readonly running = new Map<number, Sequence>();
  readonly paused: Sequence[] = [];
  reused = 0;
  readonly #all: ReturnType<typeof open>;

  constructor(budget: number) {
    counted = given.now();
    this.#all = open(budget);
  }

  get usedBytes(): number {
    return this.#all.memory.usedBytes;
  }

  place(row: number, sequence: Sequence): boolean {
    const { memory, kv } = this.#all;
    const there = within(() => memory.take(sequence, row));
    if (there === undefined) return false;
    this.reused += there;
    sequence.filled = there;
    sequence.expectIn(kv, row);
    this.running.set(row, sequence);
    return true;
  }

  /** Where its beginning is, if anywhere. */
  rowFor(sequence: Sequence, other: number): number {
    return this.#all.memory.restingRow(sequence) ?? other;
  }

  fill(row: number, sequence: Sequence): void {
    const { memory, kv } = this.#all;
    const there = within(() => memory.reuse(row));
    this.reused += there - sequence.filled;
    sequence.filled = there;
    sequence.expectIn(kv, row);
    sequence.run(kv, row, Math.min(sequence.ids.length - 1, sequence.filled + 100));
  }

  leave(row: number, kept: boolean, paused = false): void {
    within(() => this.#all.memory.leave(row, { kept, paused }));
    this.running.delete(row);
  }

  pause(row: number, sequence: Sequence): void {
    this.leave(row, true, true);
    sequence.filled = 0;
    this.paused.push(sequence);
  }

  move(from: number, to: number, sequence: Sequence): void {
    const { memory } = this.#all;
    if (this.running.has(to) || !within(() => memory.move(from, to, sequence.filled))) return;
    this.running.delete(from);
    this.running.set(to, sequence);
  }

  forget(): void {
    const sequence = this.paused.shift();
    if (sequence !== undefined) this.#all.memory.forget(sequence);
  }

  /** A decode step of all rows: who has no room is paused; rows between them that are free get a token as well. */
  step(): void {
    const { memory, kv } = this.#all;
    for (const [row, sequence] of this.running) {
      if (sequence.ids.length >= sequence.capacity) this.leave(row, true);
      else if (!within(() => memory.grow(row, sequence.ids.length))) this.pause(row, sequence);
    }
    const taken = [...this.running.keys()];
    for (let row = Math.min(...taken); row <= Math.max(...taken); row += 1) {
      const sequence = this.running.get(row);
      if (sequence === undefined) {
        writeToken(kv, pagedShape, row, memory.restingTokens(row));
        count();
      } else if (sequence.filled < sequence.ids.length) {
        sequence.run(kv, row, sequence.filled + 1);
        if (sequence.filled === sequence.ids.length) sequence.answer();
      }
    }
  }

  check(): void {
    for (const [row, sequence] of this.running) sequence.expectIn(this.#all.kv, row);
  }

  release(): void {
    this.#all.memory.release();
    this.#all.kv.release();
  }
}

const at = fc.nat(rows - 1);
const change = fc.oneof(
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant('come' as const),
      at,
      text: fc.record({
        key: fc.constantFrom('a', 'b'),
        cut: fc.constantFrom(30, 64, 200),
        tail: fc.nat(4),
      }),
      tokens: fc.integer({ min: 2, max: 240 }),
      most: fc.integer({ min: 0, max: 100 }),
    }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('fill' as const), at }) },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constantFrom('leave' as const, 'fail' as const, 'pause' as const), at }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('back' as const), at }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('forget' as const), at }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('move' as const), at, to: at }) },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constant('step' as const), times: fc.integer({ min: 1, max: 20 }) }),
  },
);
type Change = typeof change extends fc.Arbitrary<infer T> ? T : never;

const apply = (machine: Machine, one: Change): void => {
  if (one.kind === 'step') {
    for (let time = 0; time < one.times; time += 1) machine.step();
    return;
  }
  if (one.kind === 'forget') return machine.forget();
  const sequence = machine.running.get(one.at);
  if (one.kind === 'come' || one.kind === 'back') {
    const comes =
      one.kind === 'come' ? new Sequence(one.text, one.tokens, one.tokens + one.most) : machine.paused[0];
    if (comes === undefined) return;
    const row = machine.rowFor(comes, one.at);
    if (machine.running.has(row)) return;
    if (machine.place(row, comes) && one.kind === 'back') machine.paused.shift();
    return;
  }
  if (sequence === undefined) return;
  if (one.kind === 'fill') machine.fill(one.at, sequence);
  else if (one.kind === 'move') machine.move(one.at, one.to, sequence);
  else if (one.kind === 'pause') machine.pause(one.at, sequence);
  else machine.leave(one.at, one.kind === 'leave');
};

/** A step wrote into free rows: that is given back too. */
const ridden: [number, Change[]] = [
  6 * page,
  [
    { kind: 'come', at: 0, text: { key: 'a', cut: 30, tail: 0 }, tokens: 2, most: 1 },
    { kind: 'fill', at: 0 },
    { kind: 'come', at: 3, text: { key: 'b', cut: 64, tail: 0 }, tokens: 2, most: 63 },
    { kind: 'step', times: 54 },
    { kind: 'leave', at: 3 },
    { kind: 'come', at: 0, text: { key: 'b', cut: 64, tail: 0 }, tokens: 129, most: 0 },
    { kind: 'come', at: 2, text: { key: 'a', cut: 30, tail: 0 }, tokens: 129, most: 0 },
  ],
];

describe('memory that the system gave, copies while they are made included', () => {
  it('stays within the budget whatever comes, grows, pauses, comes back, moves, decodes and goes, and every byte is right', () => {
    const budgets = fc.integer({ min: 6, max: 14 }).map((pages) => pages * page);
    let reused = 0;
    fc.assert(
      fc.property(budgets, fc.array(change, { minLength: 20, maxLength: 80 }), (budget, changes) => {
        const machine = new Machine(budget);
        peak = 0;
        for (const one of changes) {
          apply(machine, one);
          expect(peak / budget).toBeLessThanOrEqual(1);
          expect(machine.usedBytes).toBeLessThanOrEqual(budget);
          machine.check();
        }
        // Whoever is paused has room once the others are over.
        for (const row of machine.running.keys()) machine.leave(row, true);
        for (const sequence of machine.paused) {
          expect(machine.place(1, sequence)).toBe(true);
          machine.leave(1, true);
        }
        expect(peak / budget).toBeLessThanOrEqual(1);
        reused += machine.reused;
        machine.release();
      }),
      { numRuns: 40, endOnFailure: true, examples: [ridden] },
    );
    expect(reused).toBeGreaterThan(0);
  });
});
