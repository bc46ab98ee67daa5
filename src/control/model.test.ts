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
    { numRuns: 300, endOnFailure: true },
  );
});
