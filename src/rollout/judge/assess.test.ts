import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  conclude,
  type Measurement,
  type MetricPolicy,
  metricPolicySchema,
  nextMeasurement,
  notMeasured,
  observeMeasurement,
} from './assess.ts';

const policy = (fields: object = {}) => metricPolicySchema.parse(fields);
const many = (measurement: Measurement, n: number): Measurement[] =>
  Array.from({ length: n }, () => measurement);

const assess = (history: readonly Measurement[], metric: MetricPolicy) =>
  history.reduce((before, measurement) => observeMeasurement(before, measurement, metric), notMeasured).phase;

describe('assessment of a metric', () => {
  it('fails at the first failure unless failures are allowed', () => {
    expect(assess(['Pass', 'Fail'], policy())).toBe('Failed');
    expect(assess(['Fail', 'Pass', 'Fail'], policy({ failureLimit: 2 }))).toBe('Running');
    expect(assess(['Fail', 'Pass', 'Fail', 'Fail'], policy({ failureLimit: 2 }))).toBe('Failed');
  });

  it('is inconclusive past inconclusiveLimit', () => {
    expect(assess(['Inconclusive'], policy())).toBe('Inconclusive');
    expect(assess(['Inconclusive', 'Pass'], policy({ inconclusiveLimit: 1 }))).toBe('Running');
  });

  it('gives up after five errors in a row, and never because of errors with measurements between them', () => {
    expect(assess(many('Error', 4), policy())).toBe('Running');
    expect(assess(many('Error', 5), policy())).toBe('Error');
    expect(assess([...many('Error', 4), 'Running', ...many('Error', 4)], policy())).toBe('Running');
  });

  it('succeeds after count measurements, in which errors do not count and undecided looks do', () => {
    expect(assess(['Pass', 'Error', 'Running'], policy({ count: 3 }))).toBe('Running');
    expect(assess(['Pass', 'Error', 'Running', 'Pass'], policy({ count: 3 }))).toBe('Success');
    expect(assess(['Pass', 'Pass', 'Fail'], policy({ count: 3 }))).toBe('Failed');
    expect(assess(many('Pass', 1000), policy())).toBe('Running');
  });

  it('stays with the first limit that was exceeded, and agrees with counting, whatever happens', () => {
    const measurement = fc.constantFrom<Measurement>('Pass', 'Fail', 'Inconclusive', 'Running', 'Error');
    const limits = fc.record({
      failureLimit: fc.nat(3),
      inconclusiveLimit: fc.nat(3),
      consecutiveErrorLimit: fc.nat(3),
      count: fc.option(fc.integer({ min: 1, max: 12 }), { nil: undefined }),
    });
    fc.assert(
      fc.property(fc.array(measurement, { maxLength: 30 }), limits, (history, drawn) => {
        const metric = policy(drawn);
        // The reference looks at every prefix; the first that ends it decides.
        const of = (prefix: readonly Measurement[]) => {
          const count = (what: Measurement) => prefix.filter((m) => m === what).length;
          if (count('Fail') > metric.failureLimit) return 'Failed';
          if (count('Inconclusive') > metric.inconclusiveLimit) return 'Inconclusive';
          if (prefix.length - 1 - prefix.findLastIndex((m) => m !== 'Error') > metric.consecutiveErrorLimit)
            return 'Error';
          return prefix.length - count('Error') >= (metric.count ?? Infinity) ? 'Success' : 'Running';
        };
        const phases = history.map((_, i) => of(history.slice(0, i + 1)));
        expect(assess(history, metric)).toBe(phases.find((phase) => phase !== 'Running') ?? 'Running');
      }),
    );
  });
});

describe('next measurement', () => {
  it('comes after the initial delay, then after the interval, and the last one is final', () => {
    const metric = policy({ initialDelay: '1m', interval: '5s', count: 2 });
    expect(nextMeasurement(notMeasured, metric)).toEqual({ afterMs: 60_000, moment: 'during' });
    const once = observeMeasurement(notMeasured, 'Running', metric);
    expect(nextMeasurement(once, metric)).toEqual({ afterMs: 5_000, moment: 'end' });
    expect(nextMeasurement(observeMeasurement(once, 'Error', metric), metric)?.moment).toBe('end');
    expect(nextMeasurement(observeMeasurement(once, 'Pass', metric), metric)).toBeUndefined();
  });

  it('is at once without an initial delay', () => {
    expect(nextMeasurement(notMeasured, policy())).toEqual({ afterMs: 0, moment: 'during' });
  });
});

describe('conclusion of a step', () => {
  const guardrail = (phase: Parameters<typeof conclude>[0][number]['phase']) =>
    ({ class: 'Guardrail', phase }) as const;
  const signal = (phase: Parameters<typeof conclude>[0][number]['phase']) =>
    ({ class: 'Signal', phase }) as const;
  const during = { ended: false, onInconclusive: 'Pause' } as const;

  it('rolls back for a guardrail only, also when other metrics are worse off', () => {
    expect(conclude([signal('Error'), guardrail('Failed'), guardrail('Running')], during)).toBe('RollBack');
    expect(conclude([signal('Failed'), guardrail('Success')], during)).toBe('Pause');
  });

  it('never rolls back for what could not be measured or told', () => {
    for (const phase of ['Error', 'Inconclusive'] as const) {
      expect(conclude([guardrail(phase)], during)).toBe('Pause');
      expect(conclude([guardrail(phase)], { ...during, ended: true })).toBe('Pause');
    }
  });

  it('goes on in spite of an inconclusive metric when told so', () => {
    expect(conclude([guardrail('Inconclusive')], { ended: true, onInconclusive: 'Continue' })).toBe(
      'Advance',
    );
    expect(conclude([guardrail('Error')], { ended: true, onInconclusive: 'Continue' })).toBe('Pause');
  });

  it('waits for running metrics until the step ends', () => {
    expect(conclude([guardrail('Success'), guardrail('Running')], during)).toBe('Wait');
    expect(conclude([guardrail('Success'), guardrail('Running')], { ...during, ended: true })).toBe(
      'Advance',
    );
    expect(conclude([guardrail('Success')], during)).toBe('Advance');
    expect(conclude([], during)).toBe('Advance');
  });
});
