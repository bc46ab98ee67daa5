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

/** Of four resources one waited long enough, and the other three are removed in the same moment. */
const fewAreLeft: Step[] = [
  { what: 'Write', n: 260, v: 4769 },
  { what: 'Write', n: 959, v: 3934 },
  { what: 'Invalidate', n: 296, v: 585 },
  { what: 'RestartReplica', n: 916, v: 6443 },
  { what: 'Connect', n: 842, v: 520 },
  { what: 'Corrupt', n: 614, v: 5376 },
  { what: 'Up', n: 527, v: 1993 },
  { what: 'DeleteAll', n: 649, v: 7989 },
  { what: 'Down', n: 509, v: 3875 },
  { what: 'CatchUp', n: 919, v: 3485 },
  { what: 'Gate', n: 727, v: 1387 },
  { what: 'DeleteAll', n: 587, v: 244 },
  { what: 'Up', n: 734, v: 4502 },
  { what: 'Write', n: 919, v: 1483 },
  { what: 'Down', n: 587, v: 3014 },
  { what: 'CatchUp', n: 55, v: 7092 },
  { what: 'Up', n: 497, v: 1189 },
  { what: 'Gate', n: 826, v: 9501 },
  { what: 'Down', n: 362, v: 5708 },
  { what: 'Tick', n: 458, v: 5233 },
  { what: 'Up', n: 242, v: 9522 },
  { what: 'Down', n: 116, v: 8242 },
  { what: 'DeleteAll', n: 379, v: 3455 },
  { what: 'Connect', n: 530, v: 3627 },
  { what: 'DeleteAll', n: 319, v: 1528 },
  { what: 'Tick', n: 501, v: 3573 },
  { what: 'CatchUp', n: 468, v: 5605 },
  { what: 'Up', n: 788, v: 419 },
  { what: 'Down', n: 899, v: 9325 },
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
    { numRuns: 300, endOnFailure: true, examples: [[refusedAfterRemoval], [fewAreLeft]] },
  );
});
