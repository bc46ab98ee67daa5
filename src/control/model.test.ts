import * as fc from 'fast-check';
import { expect, it } from 'vitest';
import { happenings, type Step, StreamWorld } from './testing/world.ts';

/** Without the bias to small numbers: it would be the first runtime again and again. */
const steps: fc.Arbitrary<Step[]> = fc.noBias(
  fc.array(fc.record({ what: fc.constantFrom(...happenings), n: fc.nat(999), v: fc.nat(9_999) }), {
    minLength: 20,
    maxLength: 800,
    size: 'max',
  }),
);

/** An adapter goes, comes back damaged, and changes while a Split of its namespace is not valid. */
const refusedAfterRemoval: Step[] = [
  { what: 'Connect', n: 2, v: 1 },
  { what: 'CatchUp', n: 1, v: 0 },
  { what: 'DeleteAll', n: 0, v: 0 },
  { what: 'Write', n: 1, v: 0 },
  { what: 'Up', n: 2, v: 1 },
  { what: 'Invalidate', n: 0, v: 1 },
  { what: 'CatchUp', n: 1, v: 0 },
  { what: 'Write', n: 0, v: 5 },
  { what: 'Down', n: 2, v: 3 },
  { what: 'Corrupt', n: 2, v: 0 },
  { what: 'Write', n: 5, v: 3 },
  { what: 'Write', n: 5, v: 0 },
  { what: 'Gate', n: 0, v: 1 },
  { what: 'Up', n: 2, v: 1 },
  { what: 'CatchUp', n: 1, v: 1 },
  { what: 'Down', n: 2, v: 3 },
  { what: 'Up', n: 2, v: 1 },
  { what: 'CatchUp', n: 1, v: 0 },
  { what: 'Down', n: 2, v: 3 },
  { what: 'Up', n: 2, v: 1 },
  { what: 'Down', n: 2, v: 0 },
  { what: 'Down', n: 2, v: 0 },
];

it('runtimes never act on a torn plan nor go backwards, and come to the newest plan once the world is quiet', () => {
  fc.assert(
    fc.property(steps, (list) => {
      const world = new StreamWorld();
      for (const step of list) world.step(step);
      world.settle();
      for (const runtime of world.runtimes) runtime.expectConverged();

      const { puts, removes } = world.counts;
      world.settle();
      // On new streams only what a runtime refuses is tried again.
      expect(world.counts).toMatchObject({ puts: puts + world.refused, removes });
    }),
    // To make a failure small takes minutes: `make fuzz` does it.
    { numRuns: 300, endOnFailure: true, examples: [[refusedAfterRemoval]] },
  );
});
