import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { TextQueue } from './text-queue.ts';

const text = (characters: number, tenant = '') => ({ tenant, characters });
const drained = (queue: TextQueue<ReturnType<typeof text>>): string[] => {
  const order: string[] = [];
  for (let next = queue.next(); next !== undefined; next = queue.next())
    order.push(`${next.tenant}${next.characters}`);
  return order;
};

describe('the texts that wait', () => {
  it('are taken by length, the shortest first', () => {
    const queue = new TextQueue();
    for (const characters of [50, 20, 40]) queue.push(text(characters));
    expect(queue).toMatchObject({ length: 3, characters: 110 });
    expect(drained(queue)).toEqual(['20', '40', '50']);
    expect(queue).toMatchObject({ length: 0, characters: 0 });
  });

  it('are taken in turns of tenants, whatever each has waiting', () => {
    const queue = new TextQueue();
    for (let count = 0; count < 4; count += 1) queue.push(text(10, 'a'));
    queue.push(text(15, 'b'));
    expect(drained(queue)).toEqual(['a10', 'b15', 'a10', 'a10', 'a10']);
  });

  it('are taken in turns of namespaces, however many tenants one has', () => {
    const queue = new TextQueue();
    for (const tenant of ['a', 'b', 'c', 'd']) queue.push({ namespace: 'n', ...text(10, tenant) });
    queue.push({ namespace: 'm', ...text(15, 'm') });
    queue.push({ namespace: 'n', ...text(5, 'a') });
    expect(drained(queue)).toEqual(['a5', 'm15', 'b10', 'c10', 'd10', 'a10']);
  });

  it('are not passed for ever by shorter ones', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 1000 }), fc.integer({ min: 1, max: 100 }), (long, short) => {
        const queue = new TextQueue();
        const first = text(long);
        queue.push(text(short));
        queue.push(first);
        let passed = 0;
        for (let next = queue.next(); next !== first; next = queue.next()) {
          passed += next?.characters ?? Infinity;
          queue.push(text(short));
        }
        expect(passed).toBeLessThanOrEqual(long + short);
      }),
    );
  });

  it('are gone when their callers left', () => {
    const queue = new TextQueue();
    const [one, other] = [text(1, 'a'), text(2, 'b')];
    queue.push(one);
    queue.push(other);
    queue.remove(one);
    queue.remove(one);
    expect(drained(queue)).toEqual(['b2']);
  });
});
