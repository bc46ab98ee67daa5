import * as fc from 'fast-check';
import { expect, it } from 'vitest';
import { FairQueue, type Flow } from './fair-queue.ts';

/** `prepaid`: what is left of it was charged when it began. */
type Item = { readonly id: number; readonly flow: Flow; left: number; prepaid?: boolean };

const rows = 4;
const costliest = 50;
const bound = rows * costliest;

const cost = fc.integer({ min: 1, max: costliest });

/** What happens before the rows are filled and each of them does some work. */
const arrivals = fc.array(
  fc.record({ tenant: fc.constantFrom('c', 'd', 'e'), adapter: fc.constantFrom('x', 'y', null), cost }),
  { maxLength: 3 },
);
const turn = fc.record({
  arrivals,
  costs: fc.array(cost, { minLength: 2, maxLength: 2 }),
  work: fc.array(fc.integer({ min: 0, max: costliest }), { minLength: rows, maxLength: rows }),
  preempt: fc.option(fc.nat(rows - 1), { freq: 8 }),
  chargeAtStart: fc.boolean(),
  /** Who leaves: what was charged for it and not done is given back. */
  cancel: fc.option(fc.nat(rows - 1), { freq: 8 }),
});
type Turn = typeof turn extends fc.Arbitrary<infer T> ? T : never;

/** Rows that work off a queue, with items of random cost. */
class Machine {
  readonly queue = new FairQueue<Item>({ maxLength: 10_000 });
  readonly running: Item[] = [];
  #ids = 0;
  readonly #done: (flow: Flow, cost: number) => void;

  constructor(done: (flow: Flow, cost: number) => void = () => undefined) {
    this.#done = done;
  }

  push(tenant: string, adapter: string | null, left: number, priority = 0): Item {
    const item = { id: this.#ids++, flow: { tenant, adapter, priority }, left };
    this.queue.push(item);
    return item;
  }

  fill(chargeAtStart: boolean): void {
    for (
      let next = this.queue.next();
      next !== undefined && this.running.length < rows;
      next = this.queue.next()
    ) {
      const first = chargeAtStart ? next.left : 0;
      next.prepaid = chargeAtStart;
      this.queue.started(next, first);
      this.#done(next.flow, first);
      this.running.push(next);
    }
  }

  step({ work, preempt, cancel }: Pick<Turn, 'work' | 'preempt' | 'cancel'>): void {
    for (const [row, item] of this.running.entries()) {
      const done = Math.min(item.left, work[row] ?? 0);
      item.left -= done;
      if (item.prepaid === true) continue;
      this.queue.charge(item.flow, done);
      this.#done(item.flow, done);
    }
    for (const item of this.running.filter(({ left }) => left === 0)) {
      this.queue.ended(item);
      this.#stop(item);
    }
    const leaves = cancel === null ? undefined : this.running[cancel];
    if (leaves !== undefined) {
      this.#giveBack(leaves);
      this.queue.ended(leaves);
      this.#stop(leaves);
    }
    const victim = preempt === null ? undefined : this.running[preempt];
    if (victim === undefined) return;
    this.#giveBack(victim);
    this.queue.pushBack(victim);
    this.#stop(victim);
  }

  #giveBack({ flow, left, prepaid }: Item): void {
    if (prepaid !== true) return;
    this.queue.refund(flow, left);
    this.#done(flow, -left);
  }

  #stop(item: Item): void {
    this.running.splice(this.running.indexOf(item), 1);
  }
}

/** The largest difference of two sums over any time since they began. */
class Gap {
  #now = 0;
  #min = 0;
  #max = 0;
  add(amount: number): void {
    this.#now += amount;
    this.#min = Math.min(this.#min, this.#now);
    this.#max = Math.max(this.#max, this.#now);
  }
  get widest(): number {
    return this.#max - this.#min;
  }
}

const always = (waiting: number, push: () => void): void => {
  for (let missing = waiting; missing > 0; missing -= 1) push();
};

const countOf = (queue: FairQueue<Item>, is: (flow: Flow) => boolean): number =>
  queue.items().filter(({ flow }) => is(flow)).length;

/** How far apart the tenants that wait are. */
const spreadOf = (queue: FairQueue<Item>, than: Flow): number => {
  const counters = queue
    .items()
    .map((item) => (item.flow.tenant === than.tenant ? 0 : queue.beyond(item.flow, than)));
  return Math.max(...counters) - Math.min(...counters);
};

/** Drives two flows that always have items waiting, among others that come and go; the gap of their service. */
const gapOf = (turns: readonly Turn[], greedy: Flow, other: Flow): number => {
  const gap = new Gap();
  const same = (a: Flow, b: Flow): boolean =>
    a.tenant === b.tenant && (a.adapter === b.adapter || greedy.tenant !== other.tenant);
  const machine = new Machine((flow, done) => {
    if (same(flow, greedy)) gap.add(done);
    if (same(flow, other)) gap.add(-done);
  });
  for (const each of turns) {
    const [costly = 1, cheap = 1] = each.costs;
    // One has a hundred waiting and the other a few; rows never take more than that in a turn.
    always(40 - countOf(machine.queue, (flow) => same(flow, greedy)), () =>
      machine.push(greedy.tenant, greedy.adapter, costly),
    );
    always(rows + 1 - countOf(machine.queue, (flow) => same(flow, other)), () =>
      machine.push(other.tenant, other.adapter, Math.ceil(cheap / 5)),
    );
    for (const { tenant, adapter, cost: left } of each.arrivals) machine.push(tenant, adapter, left);
    machine.fill(each.chargeAtStart);
    machine.step(each);
    expect(Math.abs(machine.queue.beyond(greedy, other))).toBeLessThanOrEqual(bound);
    expect(spreadOf(machine.queue, greedy)).toBeLessThanOrEqual(bound);
  }
  return gap.widest;
};

const flow = (tenant: string, adapter: string | null): Flow => ({ tenant, adapter, priority: 0 });

it('two tenants that always have requests waiting get the same service, up to a constant', () => {
  fc.assert(
    fc.property(fc.array(turn, { minLength: 1, maxLength: 150 }), (turns) => {
      expect(gapOf(turns, flow('a', 'x'), flow('b', null))).toBeLessThanOrEqual(2 * bound);
    }),
    { numRuns: 60 },
  );
});

it('so do two adapters of one tenant', () => {
  fc.assert(
    fc.property(fc.array(turn, { minLength: 1, maxLength: 150 }), (turns) => {
      expect(gapOf(turns, flow('a', 'x'), flow('a', 'y'))).toBeLessThanOrEqual(2 * bound);
    }),
    { numRuns: 60 },
  );
});

const op = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant('push' as const),
      tenant: fc.constantFrom('a', 'b', 'c'),
      adapter: fc.constantFrom('x', 'y', null),
      priority: fc.constantFrom(-1, 0, 0, 0, 7),
    }),
  },
  { weight: 5, arbitrary: fc.record({ kind: fc.constant('start' as const), cost }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('end' as const), which: fc.nat(20) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('preempt' as const), which: fc.nat(20) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('leave' as const), which: fc.nat(20) }) },
);

it('whatever happens, no item is lost or comes twice, and there is a next one whenever one waits', () => {
  fc.assert(
    fc.property(fc.array(op, { maxLength: 200 }), fc.integer({ min: 0, max: 6 }), (ops, maxLength) => {
      const queue = new FairQueue<Item>({ maxLength });
      const waiting = new Set<Item>();
      const preempted = new Set<Item>();
      const running: Item[] = [];
      let id = 0;
      for (const each of ops) {
        switch (each.kind) {
          case 'push': {
            const { kind: _, ...of } = each;
            const item = { id: id++, flow: of, left: 0 };
            waiting.add(item);
            const dropped = queue.push(item);
            if (dropped !== undefined) expect(waiting.delete(dropped)).toBe(true);
            if (dropped !== undefined) expect(preempted.has(dropped)).toBe(false);
            break;
          }
          case 'start': {
            const next = queue.next();
            if (next === undefined) break;
            queue.started(next, each.cost);
            expect(waiting.delete(next)).toBe(true);
            preempted.delete(next);
            running.push(next);
            break;
          }
          case 'end': {
            const [over] = running.splice(each.which, 1);
            if (over !== undefined) queue.ended(over);
            break;
          }
          case 'preempt': {
            const [victim] = running.splice(each.which, 1);
            if (victim === undefined) break;
            queue.pushBack(victim);
            waiting.add(victim);
            preempted.add(victim);
            break;
          }
          case 'leave': {
            const gone = queue.items()[each.which];
            if (gone === undefined) break;
            expect(queue.remove(gone)).toBe(true);
            waiting.delete(gone);
            preempted.delete(gone);
            break;
          }
        }
        expect(new Set(queue.items())).toEqual(waiting);
        expect(queue.size).toBe(waiting.size);
        expect(waiting.size - preempted.size).toBeLessThanOrEqual(maxLength);
        const next = queue.next();
        expect(next !== undefined && waiting.has(next)).toBe(waiting.size > 0);
        if (next !== undefined) {
          const before = queue.items().find(({ flow: f }) => JSON.stringify(f) === JSON.stringify(next.flow));
          expect(next).toBe(before);
        }
      }
    }),
  );
});

const busy = { work: Array.from({ length: rows }, () => costliest), preempt: null, cancel: null };

/** Turns until a request has a row, of a tenant that had more than the others, while `come` adds requests. */
const turnsUntilServed = (come: (machine: Machine, turn: number) => void): number => {
  const machine = new Machine();
  for (let index = 0; index < rows; index += 1) machine.push('unlucky', 'x', costliest);
  machine.push('first', 'x', 1);
  machine.fill(false);
  machine.step(busy);
  const waits = machine.push('unlucky', 'x', 1);
  let turns = 0;
  for (; machine.queue.items().includes(waits); turns += 1) {
    if (turns > 3_000) return Infinity;
    come(machine, turns);
    machine.fill(false);
    machine.step(busy);
  }
  return turns;
};

it('new tenants that keep coming cannot make one wait for ever that had more', () => {
  fc.assert(
    fc.property(fc.integer({ min: 10, max: costliest }), (perRequest) => {
      const turns = turnsUntilServed((machine, now) => {
        always(rows, () => machine.push(`new-${now}-${machine.queue.size}`, 'x', perRequest));
      });
      expect(turns).toBeGreaterThan(1);
      expect(turns).toBeLessThan(Infinity);
    }),
    { numRuns: 5 },
  );
});

it('higher priorities that keep coming cannot make a request wait for ever', () => {
  const turns = turnsUntilServed((machine) => {
    always(rows, () => machine.push('vip', 'x', costliest, 9));
  });
  expect(turns).toBeGreaterThan(1);
  expect(turns).toBeLessThan(10);
});
