import * as fc from 'fast-check';
import { expect, it } from 'vitest';
import { changesBetween } from './changes.ts';
import type { Plan, Versioned } from './resources.ts';

const resource = (key: string, version: string): Versioned => ({ key, version }) as unknown as Versioned;
const plan = fc
  .uniqueArray(fc.tuple(fc.constantFrom('a', 'b', 'c', 'd'), fc.constantFrom('1', '2')), {
    selector: ([key]) => key,
  })
  .map((all): Plan => new Map(all.map(([key, version]) => [key, resource(key, version)])));

it('has each resource of either plan whose version the other one does not have', () => {
  fc.assert(
    fc.property(plan, plan, (before, after) => {
      const keys = [...new Set([...after.keys(), ...before.keys()])];
      const differing = keys.filter((key) => before.get(key)?.version !== after.get(key)?.version);
      expect(changesBetween(before, after)).toEqual(
        differing.map((key) => ({ before: before.get(key), now: after.get(key) })),
      );
    }),
  );
});

it('does not look into a resource that is the very same', () => {
  const same = Object.defineProperty({} as Versioned, 'version', {
    get: () => {
      throw new Error('it was looked into');
    },
  });
  expect(changesBetween(new Map([['a', same]]), new Map([['a', same]]))).toEqual([]);
});
