import * as fc from 'fast-check';
import { afterEach, describe, expect, it, vi } from 'vitest';
import type * as Libc from '../ort/libc.ts';
import { capacity, expectTokens, idsOf, open, page, rows, write } from './kv-memory.fixture.ts';

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

/** What stands in a row: its owner's values, and how many tokens of them. */
type Owner = { readonly key: string; readonly tokens: number; seed: number; written: number };
type Machine = ReturnType<typeof open> & {
  readonly running: Map<number, Owner>;
  readonly paused: Owner[];
};

let peak = 0;
let counted = 0;
/** The most that there was within a call, less what there was before this file's memory. */
const within = <T>(call: () => T): T => {
  given.peak = given.now();
  const result = call();
  peak = Math.max(peak, given.peak - counted);
  return result;
};
afterEach(() => {
  peak = 0;
});

const start = (budget: number): Machine => {
  counted = given.now();
  return { ...open(budget), running: new Map(), paused: [] };
};

/** As `RunningBatch` places a sequence. */
const place = ({ memory, kv, running }: Machine, row: number, owner: Owner): boolean => {
  if (!within(() => memory.reserve(owner, row, owner.tokens, owner.key))) return false;
  const resumed = within(() => memory.resume(owner, row));
  const ids = idsOf(owner.tokens, 0);
  const reused = resumed > 0 ? 0 : within(() => memory.reuse(owner.key, ids, row));
  expect(resumed).toBe(owner.seed === 0 ? 0 : owner.written);
  // Conversations of one key have the same values.
  const seed = owner.key.charCodeAt(0);
  if (resumed + reused > 0) expectTokens(kv, row, resumed + reused, seed);
  Object.assign(owner, { seed, written: Math.max(owner.written, resumed + reused) });
  write(kv, row, owner.written, seed);
  running.set(row, owner);
  return true;
};

const leave = ({ memory, running }: Machine, row: number, { key, written }: Owner): void => {
  running.delete(row);
  memory.free(row);
  within(() => memory.keep(key, idsOf(written), row));
};

const pause = ({ memory, running, paused }: Machine, row: number, owner: Owner): void => {
  if (!memory.canPause(row, owner.written)) return;
  within(() => memory.pause(owner, row, owner.written));
  running.delete(row);
  paused.push(owner);
};

const move = ({ memory, running }: Machine, from: number, to: number, owner: Owner): void => {
  if (running.has(to) || !within(() => memory.move(from, to, owner.written))) return;
  running.delete(from);
  running.set(to, owner);
};

/** A decode step of all rows: those between them that are free get a token as well. */
const step = ({ kv, running }: Machine): void => {
  const taken = [...running.keys()];
  for (let row = Math.min(...taken); row <= Math.max(...taken); row += 1) {
    const owner = running.get(row);
    if (owner === undefined) write(kv, row, 1, 9);
    else if (owner.written < owner.tokens) write(kv, row, (owner.written += 1), owner.seed);
  }
};

const at = fc.nat(rows - 1);
const change = fc.oneof(
  fc.record({
    kind: fc.constant('come' as const),
    at,
    key: fc.constantFrom('a', 'b', 'c'),
    tokens: fc.integer({ min: 2, max: capacity }),
    part: fc.nat(99),
  }),
  fc.record({ kind: fc.constantFrom('leave' as const, 'pause' as const, 'back' as const), at }),
  fc.record({ kind: fc.constant('move' as const), at, to: at }),
  fc.record({ kind: fc.constant('step' as const) }),
);
type Change = typeof change extends fc.Arbitrary<infer T> ? T : never;

const apply = (machine: Machine, one: Change): void => {
  if (one.kind === 'step') {
    step(machine);
    peak = Math.max(peak, given.now() - counted);
    return;
  }
  const owner = machine.running.get(one.at);
  if (one.kind === 'come' && owner === undefined) {
    const written = 1 + Math.floor((one.part / 100) * (one.tokens - 1));
    place(machine, one.at, { key: one.key, tokens: one.tokens, seed: 0, written });
  } else if (one.kind === 'back' && owner === undefined) {
    const [first] = machine.paused;
    if (first !== undefined && place(machine, one.at, first)) machine.paused.shift();
  }
  if (owner === undefined) return;
  if (one.kind === 'leave') leave(machine, one.at, owner);
  if (one.kind === 'pause') pause(machine, one.at, owner);
  if (one.kind === 'move') move(machine, one.at, one.to, owner);
};

describe('memory that the system gave, copies while they are made included', () => {
  it('stays within the budget whatever comes, pauses, comes back, moves, decodes and goes', () => {
    const budgets = fc.integer({ min: 4, max: 9 }).map((pages) => pages * page);
    fc.assert(
      fc.property(budgets, fc.array(change, { minLength: 20, maxLength: 80 }), (budget, changes) => {
        const machine = start(budget);
        peak = 0;
        for (const one of changes) {
          apply(machine, one);
          expect(peak / budget).toBeLessThanOrEqual(1);
          expect(machine.memory.usedBytes).toBeLessThanOrEqual(budget);
          for (const [row, { written, seed }] of machine.running)
            expectTokens(machine.kv, row, written, seed);
        }
        for (const [row, owner] of machine.running) leave(machine, row, owner);
        for (const owner of machine.paused) {
          expect(place(machine, 1, owner)).toBe(true);
          leave(machine, 1, owner);
        }
        machine.memory.release();
        machine.kv.release();
      }),
      { numRuns: 100 },
    );
  });

  it('is not doubled by a conversation that is kept, nor by the request that begins with it', () => {
    const budget = 4 * page;
    const machine = start(budget);
    const first: Owner = { key: 'a', tokens: 240, seed: 0, written: 239 };
    expect(place(machine, 0, first)).toBe(true);
    leave(machine, 0, first);
    const next: Owner = { key: 'a', tokens: 250, seed: 0, written: 0 };
    expect(place(machine, 1, next)).toBe(true);
    expect(peak / budget).toBeLessThanOrEqual(1);
  });
});
