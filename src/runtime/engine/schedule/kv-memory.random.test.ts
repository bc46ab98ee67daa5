import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { KvRows } from '../session/kv-rows.ts';
import { capacity, expectTokens, idsOf, open, page, rows, write } from './kv-memory.fixture.ts';
import type { KvMemory } from './kv-memory.ts';

describe('requests that come, pause, come back, move and go at random', () => {
  type Owner = { readonly seed: number; readonly tokens: number; readonly written: number };

  const size = fc.integer({ min: 2, max: capacity });
  const place = fc.nat(rows - 1);
  const change = fc.oneof(
    {
      weight: 3,
      arbitrary: fc.record({
        kind: fc.constant('come' as const),
        row: place,
        tokens: size,
        part: fc.nat(99),
      }),
    },
    { weight: 2, arbitrary: fc.record({ kind: fc.constant('pause' as const), row: place }) },
    { weight: 2, arbitrary: fc.record({ kind: fc.constant('back' as const), row: place, which: fc.nat(9) }) },
    {
      weight: 2,
      arbitrary: fc.record({
        kind: fc.constant('go' as const),
        row: place,
        key: fc.constantFrom('a', 'b', 'c'),
      }),
    },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('move' as const), row: place, to: place }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('forget' as const), which: fc.nat(9) }) },
  );
  type Change = typeof change extends fc.Arbitrary<infer T> ? T : never;

  /** What {@link Rows} does with the memory, without steps. */
  class Machine {
    readonly kv: KvRows;
    readonly memory: KvMemory;
    readonly running = new Map<number, Owner>();
    readonly paused: Owner[] = [];
    #seeds = 0;

    constructor(budget: number) {
      ({ kv: this.kv, memory: this.memory } = open(budget));
    }

    do(one: Change): void {
      if (one.kind === 'forget') {
        const [owner] = this.paused.splice(one.which % Math.max(1, this.paused.length), 1);
        if (owner !== undefined) this.memory.forget(owner);
        return;
      }
      const owner = this.running.get(one.row);
      if (one.kind === 'come' || one.kind === 'back') {
        if (owner !== undefined) return;
        if (one.kind === 'come') this.#come(one.row, one.tokens, one.part);
        else this.back(one.row, one.which % Math.max(1, this.paused.length));
      } else if (owner === undefined) return;
      else if (one.kind === 'pause') this.#pause(one.row, owner);
      else if (one.kind === 'go') this.go(one.row, owner, one.key);
      else this.#move(one.row, one.to, owner);
    }

    #come(row: number, tokens: number, part: number): void {
      const owner: Owner = {
        seed: (this.#seeds = (this.#seeds % 9) + 1),
        tokens,
        written: 1 + Math.floor((part / 100) * (tokens - 1)),
      };
      if (!this.memory.reserve(owner, row, tokens)) return;
      write(this.kv, row, owner.written, owner.seed);
      this.running.set(row, owner);
    }

    #pause(row: number, owner: Owner): void {
      if (!this.memory.canPause(row, owner.written)) return;
      this.memory.pause(owner, row, owner.written);
      this.running.delete(row);
      this.paused.push(owner);
    }

    /** True when it is back. */
    back(row: number, which: number): boolean {
      const owner = this.paused[which];
      if (owner === undefined || !this.memory.reserve(owner, row, owner.tokens)) return false;
      expect(this.memory.resume(owner, row)).toBe(owner.written);
      this.paused.splice(which, 1);
      this.running.set(row, owner);
      return true;
    }

    go(row: number, { written, seed }: Owner, key: string): void {
      this.memory.free(row);
      this.memory.keep(key, idsOf(written, seed * 1000), row);
      this.running.delete(row);
    }

    #move(from: number, to: number, owner: Owner): void {
      if (this.running.has(to) || !this.memory.move(from, to, owner.written)) return;
      this.running.delete(from);
      this.running.set(to, owner);
    }

    check(budget: number): void {
      expect(this.memory.usedBytes).toBeLessThanOrEqual(budget);
      for (const [row, { written, seed }] of this.running) expectTokens(this.kv, row, written, seed);
    }
  }

  it('never take more than the budget, keep every byte, and all come back once the others ended', () => {
    const budgets = fc.integer({ min: 4, max: 9 }).map((pages) => pages * page);
    fc.assert(
      fc.property(budgets, fc.array(change, { minLength: 20, maxLength: 80 }), (budget, changes) => {
        const machine = new Machine(budget);
        for (const step of changes) {
          machine.do(step);
          machine.check(budget);
        }
        for (const [row, owner] of machine.running) machine.go(row, owner, 'a');
        while (machine.paused.length > 0) {
          expect(machine.back(1, 0)).toBe(true);
          machine.check(budget);
          machine.go(1, machine.running.get(1)!, 'b');
        }
      }),
      { numRuns: 60 },
    );
  });
});
