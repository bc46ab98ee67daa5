import { describe, expect, it } from 'vitest';
import { fakeDigest } from '../api/names.fixture.ts';
import { objectKey } from '../api/names.ts';
import type { MeasurementRequest } from '../rollout/analysis/measurement.ts';
import { FakeClock } from '../time/fake-clock.ts';
import { MetricsOfRollouts } from './metrics-of-rollouts.ts';
import type { Variables } from './source.ts';

const sql = objectKey('team-a', 'sql');
const chat = objectKey('team-a', 'chat');
const source = { prometheus: { address: 'http://prometheus:9090', query: 'up' } };
const wanted = (id: string, number = 0): MeasurementRequest => ({ id, number, source });

const make = () => {
  const asked: { variables: Variables; signal: AbortSignal; answer: (value: number) => void }[] = [];
  const changed: string[] = [];
  const metrics = new MetricsOfRollouts({
    clock: new FakeClock(),
    measure: (_, variables, signal) => {
      const { promise, resolve } = Promise.withResolvers<number>();
      asked.push({ variables, signal, answer: resolve });
      return promise;
    },
  });
  const stop = metrics.follow((key) => changed.push(key));
  return { asked, changed, metrics, stop };
};
const turn = () => new Promise((resolve) => setImmediate(resolve));

describe('the metrics of rollouts that other servers have', () => {
  it('are asked for once, and tell the rollout that waits', async () => {
    const { asked, changed, metrics } = make();
    metrics.want(sql, undefined, [wanted('a')]);
    metrics.want(chat, undefined, [wanted('b')]);
    metrics.want(sql, undefined, [wanted('a')]);
    expect(asked.map(({ variables }) => variables.rollout)).toEqual(['sql', 'chat']);
    asked[0]?.answer(1);
    await turn();
    expect(changed).toEqual([sql]);
    expect(metrics.result('a', 0)).toEqual({ value: 1 });
    expect(metrics.result('b', 0)).toBeUndefined();
  });

  it('are given up when no decision wants them any more, and those of other rollouts go on', () => {
    const { asked, metrics } = make();
    metrics.want(sql, undefined, [wanted('a')]);
    metrics.want(chat, undefined, [wanted('b')]);
    metrics.want(sql, undefined, []);
    expect(asked.map(({ signal }) => signal.aborted)).toEqual([true, false]);
  });

  it('are asked for by the names of stable and canary', () => {
    const { asked, metrics } = make();
    const bound = (adapter: string) => ({ adapter, uid: adapter, digest: fakeDigest('0') });
    const status = {
      observedGeneration: 1,
      phase: 'Paused' as const,
      revision: 1,
      message: '',
      stable: bound('v1'),
      canary: { ...bound('v2'), seed: '0', attempt: 1 },
      history: [],
      weights: { canary: 50, stable: 50 },
      conditions: [],
    };
    metrics.want(sql, status, [wanted('a')]);
    expect(asked[0]?.variables).toMatchObject({
      'stable.adapter': 'v1',
      'canary.adapter': 'v2',
      namespace: 'team-a',
    });
  });

  it('end with who follows them', () => {
    const { asked, metrics, stop } = make();
    metrics.want(sql, undefined, [wanted('a')]);
    stop();
    expect(asked[0]?.signal.aborted).toBe(true);
  });
});
