import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { FairQueue, type Flow, overdueMs, pathOf } from './fair-queue.ts';

type Item = { readonly id: string; readonly flow: Flow };

const item = (id: string, flow: Partial<Flow>): Item => ({
  id,
  flow: { namespace: '', tenant: '', adapter: null, priority: 0, ...flow },
});

/** A queue, and time that a test moves. */
const start = (maxLength = 1000) => {
  const time = { now: 0 };
  const queue = new FairQueue<Item>({ maxLength, now: () => time.now });
  const push = (id: string, flow: Partial<Flow>): Item => {
    const one = item(id, flow);
    queue.push(one);
    return one;
  };
  const pick = (cost = 0): Item => {
    const next = queue.next();
    if (next === undefined) throw new Error('nothing waits');
    queue.started(next, cost);
    return next;
  };
  return { queue, push, pick, time };
};

/** Starts and ends what is next. */
const served = ({ queue, pick }: ReturnType<typeof start>, count: number, cost: number): readonly string[] =>
  Array.from({ length: count }, () => {
    const one = pick(cost);
    queue.ended(one);
    return one.id;
  });

describe('namespaces', () => {
  it('share alike, however many tenants one has', () => {
    const node = start();
    for (let index = 0; index < 20; index += 1)
      node.push(`a${index}`, { namespace: 'a', tenant: `t${index}` });
    for (let index = 0; index < 5; index += 1) node.push(`b${index}`, { namespace: 'b' });
    const first = served(node, 10, 10);
    expect(first.filter((id) => id.startsWith('b'))).toHaveLength(5);
  });

  it('are told apart from tenants that are called like them', () => {
    const node = start();
    for (let index = 0; index < 6; index += 1) node.push(`a${index}`, { namespace: 'a', tenant: 'b' });
    node.push('b', { namespace: 'b', tenant: '' });
    expect(served(node, 1, 100)).toEqual(['a0']);
    // What tenant b of namespace a had is nothing to namespace b.
    expect(served(node, 1, 1)).toEqual(['b']);
  });

  it('within each of them tenants share alike, whatever one asks for', () => {
    const node = start();
    for (let index = 0; index < 8; index += 1) node.push(`g${index}`, { namespace: 'a', tenant: 'greedy' });
    for (let index = 0; index < 2; index += 1) node.push(`m${index}`, { namespace: 'a', tenant: 'modest' });
    expect(served(node, 4, 10)).toEqual(['g0', 'm0', 'g1', 'm1']);
  });

  it('no two flows have one path', () => {
    const names = ['', 'a', 'b', 'a/b', 'null'];
    const paths = names.flatMap((namespace) =>
      names.flatMap((tenant) =>
        [null, ...names].map((adapter) =>
          JSON.stringify(pathOf({ namespace, tenant, adapter, priority: 0 })),
        ),
      ),
    );
    expect(new Set(paths).size).toBe(5 * 5 * 6);
  });

  it('a full queue lets go of an item of whichever has most, beyond what is guaranteed to it', () => {
    const node = start(6);
    for (let index = 0; index < 4; index += 1) node.push(`a${index}`, { namespace: 'a', guaranteed: 4 });
    for (let index = 0; index < 2; index += 1)
      node.push(`b${index}`, { namespace: 'b', tenant: `t${index}` });
    const newcomer = item('c', { namespace: 'c' });
    expect(node.queue.push(newcomer)?.id).toBe('b1');
    expect(node.queue.push(item('b2', { namespace: 'b' }))?.id).toBe('b2');
  });
});

describe('what is guaranteed to a namespace', () => {
  it('is given before anything else, and no more than that', () => {
    const node = start();
    for (let index = 0; index < 3; index += 1) node.push(`a${index}`, { namespace: 'a', guaranteed: 2 });
    node.push('b', { namespace: 'b', priority: 9 });
    node.pick(100);
    node.pick(100);
    expect(node.pick().id).toBe('b');
  });
});

describe('what was charged and not done', () => {
  it('is given back: whoever cancelled comes next', () => {
    const node = start();
    const long = node.push('a0', { namespace: 'a' });
    node.pick(100);
    for (const id of ['a1', 'a2']) node.push(id, { namespace: 'a' });
    for (const id of ['b0', 'b1']) node.push(id, { namespace: 'b' });
    expect(node.queue.beyond(long.flow, item('', { namespace: 'b' }).flow)).toBe(100);
    node.queue.refund(long.flow, 90);
    node.queue.ended(long);
    expect(served(node, 4, 20)).toEqual(['b0', 'a1', 'b1', 'a2']);
  });
});

describe('how fair it is', () => {
  it('is 1 while nobody or one asks, less while one has more, and forgets', () => {
    const node = start();
    expect(node.queue.fairness).toEqual({ jain: 1, lag: 0 });
    node.push('a0', { namespace: 'a' });
    node.pick(100);
    expect(node.queue.fairness.jain).toBe(1);
    node.push('a1', { namespace: 'a' });
    node.push('b0', { namespace: 'b' });
    expect(node.queue.fairness).toEqual({ jain: 0.5, lag: 100 });
    node.pick(100);
    expect(node.queue.fairness.jain).toBe(1);
    node.time.now = 60_000;
    node.queue.charge(item('', { namespace: 'b' }).flow, 50);
    expect(node.queue.fairness.jain).toBeCloseTo((50 + 100) ** 2 / (2 * (50 ** 2 + 100 ** 2)));
  });
});

describe('an adapter that is overdue', () => {
  const of = (adapter: string): Partial<Flow> => ({ namespace: 'n', tenant: 't', adapter });

  it('goes first within its tenant, whatever it had; not before another tenant that had less', () => {
    const node = start();
    for (const [id, adapter] of [
      ['x0', 'x'],
      ['y0', 'y'],
      ['y1', 'y'],
    ] as const)
      node.push(id, of(adapter));
    const first = node.pick(1000);
    node.pick(1);
    node.queue.ended(first);
    const waits = node.push('x1', of('x'));
    node.push('other', { namespace: 'n', tenant: 'other' });
    expect(node.queue.isOverdue(waits)).toBe(false);
    expect(node.queue.next()?.id).toBe('other');
    node.time.now = overdueMs + 1;
    expect(node.queue.isOverdue(waits)).toBe(true);
    expect(node.pick(10_000).id).toBe('other');
    expect(node.pick(1).id).toBe('x1');
    expect(node.pick(1).id).toBe('y1');
  });

  it('is none of which something runs', () => {
    const node = start();
    node.push('x0', of('x'));
    node.pick(10);
    const waits = node.push('x1', of('x'));
    node.time.now = 2 * overdueMs;
    expect(node.queue.isOverdue(waits)).toBe(false);
  });
});

const turn = fc.record({
  arrivals: fc.array(
    fc.record({ adapter: fc.constantFrom('x', 'y', 'z', 'w'), cost: fc.integer({ min: 1, max: 500 }) }),
    {
      maxLength: 4,
    },
  ),
  ms: fc.nat(4000),
  /** Of what runs, how much ends. */
  ends: fc.array(fc.nat(7), { maxLength: 3 }),
  /** Of what runs, what has to wait again. */
  pauses: fc.option(fc.nat(7), { freq: 6 }),
  picks: fc.nat(3),
});

it('with any arrivals an adapter that is overdue gets one of the next F picks of its tenant, where F adapters wait', () => {
  fc.assert(
    fc.property(fc.array(turn, { maxLength: 120 }), (turns) => {
      const node = start();
      const running: { readonly item: Item; readonly cost: number }[] = [];
      const costOf = new Map<Item, number>();
      /** Picks that passed over an adapter since it became overdue. */
      const passed = new Map<string, number>();
      let ids = 0;
      const isOverdue = (adapter: string): boolean =>
        node.queue.items().some((one) => one.flow.adapter === adapter && node.queue.isOverdue(one));
      for (const { arrivals, ms, ends, pauses, picks } of turns) {
        for (const { adapter, cost } of arrivals) {
          costOf.set(node.push(`${ids++}`, { namespace: 'n', tenant: 't', adapter }), cost);
        }
        node.time.now += ms;
        for (const which of ends) {
          const [over] = running.splice(which, 1);
          if (over !== undefined) node.queue.ended(over.item);
        }
        const [paused] = pauses === null ? [] : running.splice(pauses, 1);
        if (paused !== undefined) node.queue.pushBack(paused.item);
        for (let count = 0; count < picks && node.queue.size > 0; count += 1) {
          const waiting = new Set(node.queue.items().map(({ flow }) => flow.adapter));
          const overdue = ['x', 'y', 'z', 'w'].filter(isOverdue);
          const picked = node.queue.next();
          if (picked === undefined) throw new Error('nothing is next');
          node.queue.started(picked, costOf.get(picked) ?? 0);
          running.push({ item: picked, cost: 0 });
          for (const adapter of overdue) {
            const times = picked.flow.adapter === adapter ? 0 : (passed.get(adapter) ?? 0) + 1;
            passed.set(adapter, times);
            expect(times).toBeLessThan(Math.max(4, waiting.size));
          }
        }
        for (const adapter of passed.keys()) if (!isOverdue(adapter)) passed.delete(adapter);
      }
    }),
    { numRuns: 300 },
  );
});
