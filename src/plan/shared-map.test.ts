import * as fc from 'fast-check';
import { expect, it } from 'vitest';
import { SharedMap } from './shared-map.ts';

const key = fc.nat(600).map((n) => `AdapterSpec team-a/a-${n}`);
const value = fc.option(fc.nat(3), { nil: undefined });
const changes = fc.array(fc.tuple(key, value), { maxLength: 80 });

it('is at every version what a map of its own would be, and knows what differs between any two', () => {
  fc.assert(
    fc.property(fc.array(changes, { maxLength: 8 }), (all) => {
      const versions = [{ shared: SharedMap.empty<number>(), own: new Map<string, number>() }];
      for (const each of all) {
        const last = versions.at(-1);
        const own = new Map(last?.own);
        for (const [at, to] of each)
          if (to === undefined) own.delete(at);
          else own.set(at, to);
        const shared = last?.shared.with(each) ?? SharedMap.empty<number>();
        versions.push({ shared, own });
      }
      for (const { shared, own } of versions) {
        expect(new Map(shared)).toEqual(own);
        expect(shared.size).toBe(own.size);
        for (const at of own.keys()) expect(shared.get(at)).toBe(own.get(at));
        for (const other of versions) {
          const differs = [...new Set([...own.keys(), ...other.own.keys()])].filter(
            (at) => own.get(at) !== other.own.get(at),
          );
          expect([...shared.differing(other.shared)].sort()).toEqual(differs.sort());
        }
      }
    }),
    { numRuns: 100 },
  );
});

it('is the same object when nothing is another value', () => {
  const map = SharedMap.empty<number>().with([['a', 1]]);
  expect(
    map.with([
      ['a', 1],
      ['b', undefined],
    ]),
  ).toBe(map);
});
