import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { AdaptletError } from '../errors/adaptlet-error.ts';
import { ArmCounts, WeightCounts as Wire } from '../gen/adaptlet/control/v1/control.ts';
import { ArmCounter, buckets } from '../rollout/judge/counts.ts';
import { armOf, evenArm, happening } from '../rollout/judge/judge.fixture.ts';
import { splitReportSchema, type WeightCounts } from '../rollout/judge/reports.ts';
import { countsFromWire, countsToWire } from './arm-counts.ts';

const idle = new ArmCounter().snapshot();
const arm = fc.array(happening, { maxLength: 60 }).map((happenings) => armOf(happenings).snapshot());
const counts: fc.Arbitrary<WeightCounts> = fc.record({
  weight: fc.integer({ min: 1, max: 100 }),
  seq: fc.nat(),
  stable: arm,
  canary: arm,
});
const overTheWire = (value: WeightCounts) =>
  countsFromWire(Wire.decode(Wire.encode(countsToWire(value)).finish()));
const wireOf = (value: Partial<WeightCounts> = {}): Wire =>
  countsToWire({ weight: 5, seq: 1, stable: idle, canary: evenArm(100, 3).snapshot(), ...value });

describe('counts on the wire', () => {
  it('come back as they were', () => {
    fc.assert(
      fc.property(counts, (value) => {
        expect(overTheWire(value)).toEqual(value);
      }),
    );
  });

  it('cost nothing for an arm that had no request', () => {
    const bytes = ArmCounts.encode(wireOf().stable ?? ArmCounts.create()).finish();
    expect(bytes).toHaveLength(0);
    expect(countsFromWire({ ...wireOf(), stable: undefined }).stable).toEqual(idle);
  });

  it('stand still when they outgrow their field', () => {
    const canary = new ArmCounter();
    canary.answered(3, 10);
    canary.requests[3] = 2 ** 33;
    expect(overTheWire({ weight: 5, seq: 1, stable: idle, canary }).canary.requests[3]).toBe(2 ** 32 - 1);
  });

  const full = (value: number) => Array.from({ length: buckets }, () => value);
  it.each<[string, Partial<ArmCounts>]>([
    ['NaN', { logLatency: [Number.NaN, ...full(1).slice(1)] }],
    ['infinity', { rewards: full(Number.POSITIVE_INFINITY) }],
    ['a number whose sums overflow', { rewards: full(-1e308) }],
    ['negative squares', { logLatencySquares: -1 }],
    ['squares that are NaN', { rewardSquares: Number.NaN }],
    ['a negative time', { latencyMs: -5 }],
    ['too few buckets', { requests: [1, 2, 3] }],
    ['too many buckets', { feedbacks: Array.from({ length: 1_000_000 }, () => 1) }],
    ['more errors than requests', { requests: full(1), errors: full(2) }],
    ['errors without requests', { requests: [], errors: full(1) }],
    ['bins below the first', { latencyFirst: -2_000_000, latencyCounts: [1] }],
    ['a long list of bins', { latencyCounts: Array.from({ length: 100_000 }, () => 1) }],
  ])('are refused with %s, by a message that says so', (_, more) => {
    const wire = wireOf();
    const canary = { ...(wire.canary ?? ArmCounts.create()), ...more };
    expect(() => countsFromWire({ ...wire, canary })).toThrow(
      expect.objectContaining({ code: 'HELLO_INVALID', message: expect.stringMatching(/counts/) }),
    );
  });

  it.each([0, 101, 4_000_000_000])('are refused about the weight %s', (weight) => {
    expect(() => countsFromWire({ ...wireOf(), weight })).toThrow(
      expect.objectContaining({ code: 'HELLO_INVALID' }),
    );
  });

  it('are refused, or are counts, whatever is sent', () => {
    const double = fc.oneof(fc.double(), fc.constantFrom(0, 1, Number.NaN, -1));
    const uint = fc.oneof(fc.nat(3), fc.constant(2 ** 32 - 1));
    const list = <T>(of: fc.Arbitrary<T>) =>
      fc.oneof(
        fc.constant<T[]>([]),
        fc.array(of, { minLength: buckets, maxLength: buckets }),
        fc.array(of, { maxLength: 70 }),
      );
    const hostile: fc.Arbitrary<ArmCounts> = fc.record({
      requests: list(uint),
      errors: list(uint),
      logLatency: list(double),
      logLatencySquares: double,
      latencyMs: double,
      latencyFirst: fc.integer({ min: -500, max: 500 }),
      latencyCounts: fc.array(uint, { maxLength: 600 }),
      feedbacks: list(uint),
      rewards: list(double),
      rewardSquares: double,
    });
    const sent = fc.record({
      weight: fc.nat(120),
      seq: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
      stable: hostile,
      canary: hostile,
      rewarded: fc.constant(undefined),
    });
    let taken = 0;
    const take = (wire: Wire) => {
      try {
        const read = countsFromWire(wire);
        taken += 1;
        expect(splitReportSchema.safeParse({ node: 'n', instance: 'i', ...read }).success).toBe(true);
      } catch (error) {
        if (!(error instanceof AdaptletError && error.code === 'HELLO_INVALID')) throw error;
      }
    };
    fc.assert(fc.property(sent, take), { numRuns: 300 });
    // Good counts with one byte changed: those that still are a message.
    const good = Wire.encode(wireOf()).finish();
    fc.assert(
      fc.property(fc.nat(good.length - 1), fc.nat(255), (place, byte) => {
        const bytes = Uint8Array.from(good);
        bytes[place] = byte;
        let wire: Wire;
        try {
          wire = Wire.decode(bytes);
        } catch {
          return;
        }
        take(wire);
      }),
      { numRuns: 1000 },
    );
    expect(taken).toBeGreaterThan(0);
  });
});
