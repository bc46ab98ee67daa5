import * as fc from 'fast-check';
import type { CopyCounts } from './copies.ts';

/** For tests: what runtimes can count. */
export const possibleCounts: fc.Arbitrary<CopyCounts> = fc
  .record({
    failed: fc.nat(50),
    dropped: fc.nat(50),
    compared: fc.nat(50),
    unchecked: fc.nat(50),
    part: fc.double({ min: 0, max: 1, noNaN: true }),
    ms: fc.double({ min: 0, max: 1e6, noNaN: true }),
  })
  .map(({ failed, dropped, compared, unchecked, part, ms }) => ({
    requests: failed + compared + unchecked,
    failed,
    dropped,
    compared,
    equal: Math.floor(compared * part),
    similarity: compared * part,
    timed: compared,
    stableMs: ms,
    canaryMs: ms * part,
  }));
