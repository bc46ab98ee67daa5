import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { backoffMs } from '../../time/backoff.ts';
import { FakeClock } from '../../time/fake-clock.ts';
import { type RunResult, WorkQueue } from './queue.ts';
import { Heap } from './queue-heap.ts';

const keys = ['a', 'b', 'c', 'd', 'e'] as const;
type Key = (typeof keys)[number];
const key = fc.constantFrom(...keys);
const delay = fc.constantFrom(0, 0, 1, 700, 5000);

type Operation =
  | { do: 'add'; key: Key; priority: number; afterMs: number }
  | { do: 'advance'; ms: number }
  | { do: 'turn' }
  | { do: 'end'; nth: number; how: 'success' | 'failure' | 'requeue'; afterMs: number };

const operation: fc.Arbitrary<Operation> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant('add'),
      key,
      priority: fc.integer({ min: 0, max: 2 }),
      afterMs: delay,
    }),
  },
  fc.record({ do: fc.constant('advance'), ms: fc.constantFrom(1, 300, 1000, 20_000) }),
  { weight: 2, arbitrary: fc.record({ do: fc.constant('turn') }) },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant('end'),
      nth: fc.nat(3),
      how: fc.constantFrom('success', 'success', 'failure', 'requeue'),
      afterMs: delay,
    }),
  },
) as fc.Arbitrary<Operation>;

const delays = { firstMs: 1000, maxMs: 8000 };
const quiet = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };

/** What the queue must do, said in the simplest way. */
class Model {
  readonly clock = new FakeClock();
  readonly workers: number;
  readonly queue: WorkQueue<Key>;
  /** Wanted runs: the earliest time and the highest priority asked for since the last start. */
  readonly wanted = new Map<Key, { dueAt: number; priority: number }>();
  readonly running = new Map<Key, PromiseWithResolvers<RunResult | void> & { priority: number }>();
  readonly failures = new Map<Key, number>();
  starts = 0;
  /** What a start broke. The queue takes what a worker throws for a failure of the worker. */
  readonly broken: string[] = [];

  constructor(workers: number) {
    this.workers = workers;
    this.queue = new WorkQueue<Key>({
      name: 'model',
      clock: this.clock,
      random: () => 0,
      logger: quiet,
      workers,
      delays,
      retries: { perSecond: 1, burst: 2 },
    });
    this.queue.run((started) => this.#start(started));
  }

  want(wantedKey: Key, afterMs: number, priority: number): void {
    const dueAt = this.clock.monotonic() + afterMs;
    const before = this.wanted.get(wantedKey) ?? { dueAt, priority };
    this.wanted.set(wantedKey, {
      dueAt: Math.min(before.dueAt, dueAt),
      priority: Math.max(before.priority, priority),
    });
  }

  isReady(name: Key): boolean {
    const wanted = this.wanted.get(name);
    return wanted !== undefined && wanted.dueAt <= this.clock.monotonic() && !this.running.has(name);
  }

  #start(started: Key): Promise<RunResult | void> {
    if (!this.isReady(started)) this.broken.push(`${started} was not ready`);
    if (this.running.size >= this.workers) this.broken.push('too many workers');
    const wanted = this.wanted.get(started) ?? { priority: -1 };
    for (const other of keys) {
      if (!this.isReady(other) || (this.failures.get(other) ?? 0) > 0) continue;
      if ((this.wanted.get(other)?.priority ?? 0) > wanted.priority)
        this.broken.push(`${started} went before ${other}`);
    }
    this.wanted.delete(started);
    this.starts += 1;
    const run = { ...Promise.withResolvers<RunResult | void>(), priority: wanted.priority };
    this.running.set(started, run);
    return run.promise;
  }

  end(nth: number, how: 'success' | 'failure' | 'requeue', afterMs: number): void {
    const [name, run] = [...this.running][nth % Math.max(1, this.running.size)] ?? [];
    if (name === undefined || run === undefined) return;
    this.running.delete(name);
    if (how === 'failure') {
      const failures = (this.failures.get(name) ?? 0) + 1;
      this.failures.set(name, failures);
      this.want(
        name,
        backoffMs(failures, () => 0, delays),
        run.priority,
      );
      run.reject(new Error('broken'));
      return;
    }
    this.failures.delete(name);
    if (how === 'requeue') this.want(name, afterMs, 0);
    run.resolve(how === 'requeue' ? { requeueAfterMs: afterMs } : undefined);
  }

  async apply(one: Operation): Promise<void> {
    switch (one.do) {
      case 'add':
        this.want(one.key, one.afterMs, one.priority);
        this.queue.add(one.key, one);
        return;
      case 'advance':
        this.clock.advance(one.ms);
        return;
      case 'turn':
        return this.turn();
      case 'end':
        this.end(one.nth, one.how, one.afterMs);
        // The queue hears of it before time goes on.
        await new Promise<void>((resolve) => process.nextTick(resolve));
    }
  }

  async turn(): Promise<void> {
    for (let i = 0; i < 3; i += 1) await new Promise(setImmediate);
  }

  /** Every worker that could run something does. */
  expectBusy(): void {
    if (this.running.size >= this.workers) return;
    expect(keys.filter((name) => this.isReady(name) && !this.failures.has(name))).toEqual([]);
  }
}

describe('the work queue, whatever happens', () => {
  it('never runs a key twice at a time, never too early, never out of order, and loses none', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 3 }),
        fc.array(operation, { maxLength: 60 }),
        async (workers, operations) => {
          const model = new Model(workers);
          for (const one of operations) {
            await model.apply(one);
            if (one.do === 'turn') model.expectBusy();
          }
          // From here on all goes well: whatever was asked for comes to its run.
          for (let i = 0; i < 60 && (model.wanted.size > 0 || model.running.size > 0); i += 1) {
            await model.turn();
            while (model.running.size > 0)
              await model.apply({ do: 'end', nth: 0, how: 'success', afterMs: 0 });
            model.clock.advance(1000);
          }
          expect([...model.wanted.keys()]).toEqual([]);
          expect(model.broken).toEqual([]);
          expect(model.queue.gauges()).toMatchObject({ depth: 0, delayed: 0, running: 0, failing: 0 });
          await model.queue.close();
        },
      ),
      { numRuns: 300 },
    );
  });

  it('closes at any moment, starts nothing more and holds nothing', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(operation, { maxLength: 30 }),
        fc.array(operation, { maxLength: 10 }),
        async (before, after) => {
          const model = new Model(2);
          for (const one of before) await model.apply(one);
          const starts = model.starts;
          const closing = model.queue.close();
          for (const one of after) await model.apply(one);
          while (model.running.size > 0) model.end(0, 'failure', 0);
          await closing;
          model.clock.advance(1e6);
          await model.turn();
          expect(model.starts).toBe(starts);
          expect(model.queue.gauges()).toMatchObject({ depth: 0, delayed: 0, running: 0, failing: 0 });
        },
      ),
      { numRuns: 100 },
    );
  });

  it('takes equal priorities in the order in which they came, however many come after', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(fc.nat(50), fc.integer({ min: 0, max: 2 })), { maxLength: 100 }),
        async (adds) => {
          const clock = new FakeClock();
          const queue = new WorkQueue({ name: 'order', clock, random: () => 0, logger: quiet, workers: 1 });
          const priorities = new Map<string, number>();
          for (const [number, priority] of adds) {
            queue.add(`${number}`, { priority });
            priorities.set(`${number}`, Math.max(priority, priorities.get(`${number}`) ?? 0));
          }
          const order: string[] = [];
          queue.run(async (name) => void order.push(name));
          await queue.idle();
          expect(order).toEqual([...priorities].sort(([, a], [, b]) => b - a).map(([name]) => name));
        },
      ),
      { numRuns: 100 },
    );
  });
});

describe('the heap', () => {
  it('gives its items in order, whatever was added, moved and removed', () => {
    const change = fc.tuple(fc.constantFrom('add', 'add', 'remove'), fc.nat(15), fc.nat(100));
    fc.assert(
      fc.property(fc.array(change, { maxLength: 80 }), (changes) => {
        const items = Array.from({ length: 16 }, (_, id) => ({ id, rank: 0 }));
        const heap = new Heap<{ id: number; rank: number }>((a, b) => a.rank < b.rank);
        const inside = new Set<number>();
        for (const [what, id, rank] of changes) {
          const item = items[id]!; // There are 16.
          if (what === 'add') {
            item.rank = rank;
            heap.add(item);
            inside.add(id);
          } else expect(heap.remove(item)).toBe(inside.delete(id));
          expect(heap.size).toBe(inside.size);
        }
        const ranks: number[] = [];
        for (let first = heap.first; first !== undefined; first = heap.first) {
          ranks.push(first.rank);
          heap.remove(first);
        }
        expect(ranks).toEqual([...inside].map((id) => items[id]!.rank).sort((a, b) => a - b));
      }),
    );
  });
});
