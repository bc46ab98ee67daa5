import { describe, expect, it } from 'vitest';
import { Report, Resource } from '../../../src/gen/adaptlet/control/v1/control.ts';
import { disorder, traceOf } from './trace.ts';
import type { Tapped } from './wiretap.ts';

const key = 'team/shout';
const canary = (state: string) => ({ key: 'team/reverse', digest: 'sha256:reverse', state });
const rollout = (effectiveWeight: number) => ({
  key,
  canaryDigest: 'sha256:reverse',
  weight: 20,
  effectiveWeight,
});
const report = (told: Parameters<typeof Report.fromPartial>[0]): Tapped => ({
  from: 'runtime',
  message: { $case: 'report', value: Report.fromPartial(told) },
});

describe('what a runtime tells of a canary', () => {
  it('is the same whether a report caught the load of it or not', () => {
    const loading = report({ adapters: [canary('Fetching')], rollouts: [rollout(0)] });
    const serving = report({ adapters: [canary('Resident')], rollouts: [rollout(20)] });
    expect(traceOf([loading, serving])).toEqual(traceOf([serving]));
    expect(traceOf([loading])).not.toEqual(traceOf([serving]));
  });

  it('is the same whether a plan that did not last was sent or not', () => {
    const put = (version: string): Tapped => ({
      from: 'operator',
      message: { $case: 'put', value: Resource.fromPartial({ key: `Split ${key}`, version }) },
    });
    const first = [put('1'), report({ rollouts: [{ ...rollout(0), weight: 0 }] })];
    const second = [put('2'), report({ rollouts: [rollout(20)] })];
    expect(traceOf([...first, ...second])).toEqual(traceOf(second));
    expect(traceOf(first)).not.toEqual(traceOf(second));
  });

  it('is wrong when it serves before it is told to be Resident', () => {
    const wrong = `rollout ${key} has a canary that is not Resident`;
    expect(disorder([report({ adapters: [canary('Loaded')], rollouts: [rollout(20)] })])).toContain(wrong);
    const resident = report({ adapters: [canary('Resident')] });
    expect(disorder([resident, report({ rollouts: [rollout(20)] })])).not.toContain(wrong);
    const gone = report({ gone: ['team/reverse'] });
    expect(disorder([resident, gone, report({ rollouts: [rollout(20)] })])).toContain(wrong);
  });
});
