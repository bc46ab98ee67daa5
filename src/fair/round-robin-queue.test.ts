import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { RoundRobinQueue } from './round-robin-queue.ts';

const limits = { running: 3, runningOfGroup: 2, waitingOfGroup: 4 };

const takeAll = (queue: RoundRobinQueue<string>): string[] => {
  const taken: string[] = [];
  for (let next = queue.take(); next !== undefined; next = queue.take()) taken.push(next);
  return taken;
};

describe('a fair queue', () => {
  it('gives a group with little to do its turn before the rest of one with much', () => {
    const queue = new RoundRobinQueue<string>(limits);
    for (const item of ['a1', 'a2', 'a3', 'a4']) queue.add('a', item);
    queue.add('b', 'b1');
    expect(takeAll(queue)).toEqual(['a1', 'b1', 'a2']);
  });

  it('leaves places free rather than give a group more than its share', () => {
    const queue = new RoundRobinQueue<string>(limits);
    for (const item of ['a1', 'a2', 'a3']) queue.add('a', item);
    expect(takeAll(queue)).toEqual(['a1', 'a2']);
    queue.add('b', 'b1');
    expect(takeAll(queue)).toEqual(['b1']);
    queue.done('a');
    expect(takeAll(queue)).toEqual(['a3']);
  });

  it('refuses what is more than may wait of one group, and takes that of others', () => {
    const queue = new RoundRobinQueue<string>(limits);
    expect(['1', '2', '3', '4', '5'].map((item) => queue.add('a', item))).toEqual([
      true,
      true,
      true,
      true,
      false,
    ]);
    expect(queue.add('b', '1')).toBe(true);
  });

  it('does not give a place to what was removed', () => {
    const queue = new RoundRobinQueue<string>(limits);
    queue.add('a', 'a1');
    queue.add('a', 'a2');
    queue.remove('a', 'a1');
    queue.remove('b', 'never added');
    expect(takeAll(queue)).toEqual(['a2']);
  });

  it('passes over what may not run yet, and keeps its turn', () => {
    const queue = new RoundRobinQueue<string>(limits);
    for (const item of ['a1', 'a2']) queue.add('a', item);
    queue.add('b', 'b1');
    expect(queue.take((item) => item !== 'a1')).toBe('a2');
    expect(queue.take((item) => item === 'c')).toBeUndefined();
    expect(takeAll(queue)).toEqual(['b1', 'a1']);
  });

  it('keeps its limits and serves everything that is added, in any order of events', () => {
    const event = fc.record({ group: fc.constantFrom('a', 'b', 'c'), ends: fc.boolean() });
    fc.assert(
      fc.property(fc.array(event, { maxLength: 60 }), (events) => {
        const queue = new RoundRobinQueue<string>(limits);
        const [running, served]: [string[], string[]] = [[], []];
        const start = (): void => {
          const taken = takeAll(queue);
          served.push(...taken);
          running.push(...taken.map((item) => item.charAt(0)));
          expect(running.length).toBeLessThanOrEqual(limits.running);
          for (const group of ['a', 'b', 'c'])
            expect(running.filter((one) => one === group).length).toBeLessThanOrEqual(limits.runningOfGroup);
        };
        const end = (group: string): void => {
          const index = running.indexOf(group);
          if (index < 0) return;
          running.splice(index, 1);
          queue.done(group);
          start();
        };
        const added: string[] = [];
        for (const [index, { group, ends }] of events.entries()) {
          const item = `${group}${index}`;
          if (ends) end(group);
          else if (queue.add(group, item)) added.push(item);
          start();
        }
        while (running.length > 0) end(running[0] ?? '');
        expect(served.toSorted()).toEqual(added.toSorted());
      }),
    );
  });
});
