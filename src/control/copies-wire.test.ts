import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { possibleCounts } from '../rollout/copies.fixture.ts';
import { noCopyCounts } from '../rollout/copies.ts';
import { copiesFromWire, copiesToWire } from './copies-wire.ts';

describe('counts of mirroring on the wire', () => {
  it('come back as they were sent', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 100 }), possibleCounts, (percentage, counts) => {
        const wire = copiesToWire(percentage, counts);
        expect(wire && copiesFromWire(wire)).toEqual({ ...counts, percentage });
      }),
    );
  });

  it('are absent while nothing is mirrored, and there when something was', () => {
    expect(copiesToWire(0, undefined)).toBeUndefined();
    expect(copiesToWire(10, undefined)).toMatchObject({ percentage: 10, requests: 0n });
    expect(copiesToWire(0, { ...noCopyCounts, requests: 1 })).toMatchObject({
      percentage: 0,
      requests: 1n,
    });
  });

  const sent = copiesToWire(10, {
    ...noCopyCounts,
    requests: 3,
    failed: 1,
    compared: 2,
    equal: 1,
    similarity: 1.5,
    timed: 2,
  });
  it.each([
    ['more failed than asked', { failed: 2n }],
    ['more compared than answered', { compared: 3n }],
    ['more equal than compared', { equal: 3n }],
    ['more timed than answered', { timed: 3n }],
    ['a similarity above 1', { similarity: 2.1 }],
    ['a similarity below 0', { similarity: -0.1 }],
    ['no similarity', { similarity: Number.NaN }],
    ['an endless time', { canaryMs: Number.POSITIVE_INFINITY }],
    ['a time below 0', { stableMs: -1 }],
    ['more than all requests', { percentage: 101 }],
  ])('are refused where they cannot be: %s', (_, change) => {
    if (sent === undefined) throw new Error('nothing was sent');
    expect(() => copiesFromWire({ ...sent, ...change })).toThrow(/HELLO_INVALID|cannot be/);
    expect(copiesFromWire(sent).requests).toBe(3);
  });
});
