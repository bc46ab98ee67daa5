import { describe, expect, it } from 'vitest';
import { FairQueue, type Flow } from './fair-queue.ts';

type Item = { readonly id: number; readonly flow: Flow; readonly cost: number };

let ids = 0;
const item = (
  tenant: string,
  { adapter = null, priority = 0, cost = 1 }: Partial<Flow & Item> = {},
): Item => ({
  id: ids++,
  flow: { tenant, adapter, priority },
  cost,
});

const tenantOf = ({ flow }: Item): string => flow.tenant;

/** Starts and ends what is next, with its cost charged, until that many have run or nothing waits. */
const serve = (queue: FairQueue<Item>, picks = Infinity): Item[] => {
  const served: Item[] = [];
  for (let next = queue.next(); next !== undefined && served.length < picks; next = queue.next()) {
    queue.started(next, next.cost);
    queue.ended(next);
    served.push(next);
  }
  return served;
};

const filled = (maxLength: number, items: readonly Item[]): FairQueue<Item> => {
  const queue = new FairQueue<Item>({ maxLength });
  for (const each of items) expect(queue.push(each)).toBeUndefined();
  return queue;
};

const many = (count: number, make: (index: number) => Item): Item[] =>
  Array.from({ length: count }, (_, index) => make(index));

describe('who goes next', () => {
  it('is who came first while nobody had anything', () => {
    const items = [item('a'), item('b'), item('c')];
    expect(serve(filled(8, items))).toEqual(items);
  });

  it('is the tenant that had least service, however many another has waiting', () => {
    const greedy = many(6, () => item('greedy', { cost: 10 }));
    const queue = filled(16, [...greedy, item('small', { cost: 10 }), item('small', { cost: 10 })]);
    expect(serve(queue, 4).map(tenantOf)).toEqual(['greedy', 'small', 'greedy', 'small']);
  });

  it('is shared by work, not by the number of requests', () => {
    const queue = filled(32, [
      ...many(4, () => item('long', { cost: 30 })),
      ...many(12, () => item('short', { cost: 10 })),
    ]);
    const first = serve(queue, 8).map(tenantOf);
    expect(first.filter((tenant) => tenant === 'short')).toHaveLength(6);
  });

  it('is the adapter that had least within a tenant, and the order of arrival within an adapter', () => {
    const a = many(3, () => item('t', { adapter: 'a' }));
    const b = many(2, () => item('t', { adapter: 'b' }));
    const base = item('t');
    const queue = filled(8, [...a, ...b, base]);
    expect(serve(queue)).toEqual([a[0], b[0], base, a[1], b[1], a[2]]);
  });

  it('has no more for a tenant that spreads its requests over many adapters', () => {
    const queue = filled(32, [
      ...many(12, (index) => item('wide', { adapter: `a${index}` })),
      ...many(4, () => item('narrow', { adapter: 'n' })),
    ]);
    const first = serve(queue, 8).map(tenantOf);
    expect(first.filter((tenant) => tenant === 'narrow')).toHaveLength(4);
  });

  it('stays until it is started or removed', () => {
    const [first, second] = [item('a'), item('b')];
    const queue = filled(4, [first, second]);
    expect(queue.next()).toBe(first);
    expect(queue.next()).toBe(first);
    expect(queue.remove(first)).toBe(true);
    expect(queue.remove(first)).toBe(false);
    expect(queue.next()).toBe(second);
    expect(queue.items()).toEqual([second]);
  });

  it('counts what is charged while a request runs, before the next one is picked', () => {
    const [long, again, other] = [item('a'), item('a'), item('b')];
    const queue = filled(8, [long, again, other]);
    queue.started(long);
    expect(queue.next()).toBe(again);
    queue.charge(long.flow, 5);
    expect(queue.next()).toBe(other);
    expect(queue.beyond(long.flow, other.flow)).toBe(5);
    expect(queue.beyond(other.flow, long.flow)).toBe(-5);
  });
});

describe('idleness', () => {
  it('earns no credit: who comes late shares from then on', () => {
    const queue = filled(
      64,
      many(40, () => item('steady', { cost: 10 })),
    );
    serve(queue, 20);
    for (const each of many(10, () => item('late', { cost: 10 }))) queue.push(each);
    const next = serve(queue, 10).map(tenantOf);
    expect(next.filter((tenant) => tenant === 'late')).toHaveLength(5);
  });

  it('does not make a tenant forget what it had more than those that still wait', () => {
    const queue = filled(64, [item('burst', { cost: 95 }), ...many(20, () => item('steady', { cost: 10 }))]);
    expect(serve(queue, 1).map(tenantOf)).toEqual(['burst']);
    queue.push(item('burst', { cost: 95 }));
    expect(serve(queue, 10).map(tenantOf)).not.toContain('burst');
    expect(serve(queue, 1).map(tenantOf)).toEqual(['burst']);
  });

  it('of everybody makes all equal again', () => {
    const queue = filled(8, [item('a', { cost: 1000 })]);
    serve(queue);
    const [a, b] = [item('a'), item('b')];
    queue.push(a);
    queue.push(b);
    expect(queue.next()).toBe(a);
    expect(queue.beyond(a.flow, b.flow)).toBe(0);
  });
});

describe('priorities', () => {
  it('go before lower ones, whoever had what', () => {
    const high = many(3, () => item('a', { priority: 5, cost: 100 }));
    const queue = filled(8, [item('b'), ...high]);
    expect(serve(queue, 3)).toEqual(high);
  });

  it('leave one of every eight picks to the lower priority whose item waits longest', () => {
    const oldest = item('low', { priority: -1 });
    const queue = filled(64, [
      oldest,
      ...many(2, () => item('mid')),
      ...many(20, () => item('high', { priority: 1 })),
    ]);
    const order = serve(queue, 16).map(tenantOf);
    expect(order.flatMap((tenant, index) => (tenant === 'high' ? [] : [[tenant, index]]))).toEqual([
      ['low', 7],
      ['mid', 15],
    ]);
  });

  it('share that pick fairly too: many old requests of one tenant do not keep it', () => {
    const queue = filled(128, [
      ...many(10, () => item('greedy', { priority: -1 })),
      item('small', { priority: -1 }),
      ...many(64, () => item('high')),
    ]);
    const low = serve(queue, 16).filter(({ flow }) => flow.priority < 0);
    expect(low.map(tenantOf)).toEqual(['greedy', 'small']);
  });

  it('are not compared by service', () => {
    const [high, low] = [item('a', { priority: 1 }), item('b')];
    const queue = filled(8, [high, low]);
    queue.started(high, 50);
    expect(queue.beyond(high.flow, low.flow)).toBe(0);
  });
});

describe('a full queue', () => {
  it('refuses the item itself when nobody has more waiting than its tenant', () => {
    const queue = filled(2, [item('a'), item('a')]);
    const third = item('a');
    expect(queue.push(third)).toBe(third);
    const other = item('b');
    expect(queue.push(other)?.flow.tenant).toBe('a');
    const equal = item('b');
    expect(queue.push(equal)).toBe(equal);
  });

  it('lets go of the newest item of the tenant that has most', () => {
    const greedy = many(3, () => item('greedy'));
    const queue = filled(4, [...greedy, item('b')]);
    const late = item('late');
    expect(queue.push(late)).toBe(greedy[2]);
    expect(queue.items().map(tenantOf)).toEqual(['greedy', 'greedy', 'b', 'late']);
  });

  it('lets go of the lowest priority of that tenant first', () => {
    const low = item('a', { priority: -3 });
    const queue = filled(3, [low, item('a'), item('a')]);
    expect(queue.push(item('a', { priority: 2 }))).toBe(low);
  });

  it('never lets go of what was preempted, and takes it back beyond its bound', () => {
    const [first, second] = [item('a'), item('a')];
    const queue = filled(2, [first, second]);
    queue.started(first);
    queue.started(second);
    for (const each of [item('b'), item('b')]) expect(queue.push(each)).toBeUndefined();
    queue.pushBack(second);
    queue.pushBack(first);
    expect(queue.size).toBe(4);
    expect(queue.items().slice(0, 2)).toEqual([first, second]);
  });

  it('lets go of another of that tenant when the most dispensable one was preempted', () => {
    const [low, high] = [item('a', { priority: -1 }), item('a')];
    const queue = filled(2, [low]);
    queue.started(low);
    queue.push(high);
    queue.pushBack(low);
    expect(queue.push(item('b'))).toBe(high);
  });

  it('has more room while places are free', () => {
    const queue = filled(1, [item('a')]);
    expect(queue.push(item('a'), 2)).toBeUndefined();
    const third = item('a');
    expect(queue.push(third, 2)).toBe(third);
  });

  it('of length 0 takes nothing', () => {
    const queue = new FairQueue<Item>({ maxLength: 0 });
    const only = item('a');
    expect(queue.push(only)).toBe(only);
    expect(queue.next()).toBeUndefined();
  });
});

describe('preemption', () => {
  it('puts an item before all that came after it in its flow', () => {
    const items = many(3, () => item('a'));
    const queue = filled(8, items);
    const [first, second] = items;
    if (first === undefined || second === undefined) return;
    queue.started(first);
    queue.started(second);
    queue.pushBack(first);
    queue.pushBack(second);
    expect(serve(queue)).toEqual(items);
  });

  it('keeps what the tenant was charged: the one that had less goes first', () => {
    const [greedy, small] = [item('greedy'), item('small')];
    const queue = filled(8, [greedy, small]);
    queue.started(greedy, 100);
    queue.pushBack(greedy);
    expect(serve(queue)).toEqual([small, greedy]);
  });
});

describe('a caller that errs', () => {
  it('is told so', () => {
    const only = item('a');
    const queue = filled(4, [only]);
    expect(() => queue.push(only)).toThrow(/already/);
    expect(() => queue.ended(only)).toThrow(/does not run/);
    expect(() => queue.pushBack(only)).toThrow(/does not run/);
    expect(() => queue.charge(only.flow, Number.NaN)).toThrow(/NaN/);
    expect(() => queue.charge(only.flow, -1)).toThrow(/-1/);
    queue.started(only);
    expect(() => queue.started(only)).toThrow(/does not wait/);
    expect(() => queue.push(only)).toThrow(/already/);
  });
});
