import { describe, expect, it } from 'vitest';
import { fakeDigest } from '../../api/names.fixture.ts';
import { readAdapter, readAnalysis, readRollout } from './read.ts';

const raw = (status: object) => ({
  apiVersion: 'adaptlet.io/v1alpha1',
  kind: 'Adapter',
  metadata: { name: 'sql', namespace: 'team', uid: 'u', resourceVersion: '1', creationTimestamp: '' },
  spec: { baseModel: 'tiny', source: { path: { path: 'sql' } } },
  status,
});

const status = {
  observedGeneration: 1,
  digest: fakeDigest('1'),
  runtimes: { desired: 1, stored: 1, resident: 1, serving: 1, failed: 0 },
  failures: [],
  conditions: [],
};

describe('a status that a later operator wrote', () => {
  it('is read without the fields that are not known, at any depth', () => {
    const later = { ...status, mood: 'good', runtimes: { ...status.runtimes, dreaming: 2 } };
    expect(readAdapter(raw(later)).object?.status).toEqual(readAdapter(raw(status)).object?.status);
    expect(readAdapter(raw(later)).object?.status?.digest).toBe(status.digest);
  });

  it('is a problem when what is known is wrong, and is not touched', () => {
    const wrong = { ...status, mood: 'good', digest: 'md5:1' };
    const read = readAdapter(raw(wrong));
    expect(read.object).toBeUndefined();
    expect(read.problems.map(({ path }) => path.join('.'))).toContain('status.digest');
    expect(wrong.mood).toBe('good');
  });
});

it('a field that zod cannot look at is a problem of its own', () => {
  const odd = { length: { toString: null } };
  const read = readAdapter({ ...raw(status), spec: { baseModel: odd, source: { path: { path: 'sql' } } } });
  expect(read.problems).toMatchObject([
    { path: ['spec', 'baseModel'], reason: expect.stringContaining('length is no number') },
  ]);
});

const rollout = (spec: object, written: object = {}) => ({
  ...raw(written),
  kind: 'AdapterRollout',
  spec: { adapter: 'sql-v2', ...spec },
});
const canary = (metrics: unknown, more: object = {}) => ({
  strategy: { canary: { steps: [{ setWeight: 5 }, { analysis: { duration: '1m', metrics } }], ...more } },
});

describe('a rollout whose metrics the API server has let through', () => {
  it('is read with its defaults when they are valid', () => {
    const { object } = readRollout(rollout(canary([{ name: 'errors', source: { builtin: 'ErrorRatio' } }])));
    expect(object?.invalidAnalyses).toBeUndefined();
    expect(object?.spec.strategy.canary?.steps[1]?.analysis?.metrics).toMatchObject([{ failureLimit: 0 }]);
  });

  it('is read without its analyses when they alone are not, and says what is wrong', () => {
    const broken = canary([{ name: 'errors', sorce: {} }], {
      analysis: { metrics: [{ name: 'x', source: {} }] },
    });
    const { object, problems } = readRollout(rollout(broken));
    expect(object?.spec.strategy.canary?.steps[0]).toEqual({ setWeight: 5 });
    expect(object?.spec.strategy.canary?.steps[1]?.analysis).toEqual({ ref: 'not-valid.adaptlet.io' });
    expect(object?.invalidAnalyses).toMatch(/steps\[1\]\.analysis\.metrics\[0\]\.sorce/);
    expect(object?.invalidAnalyses).toMatch(/canary\.analysis\.metrics\[0\]\.source/);
    expect(problems).not.toEqual([]);
  });

  it.each([
    ['another field of the spec', rollout({ ...canary([{ name: 'x' }]), paused: 'no' })],
    ['the status', rollout(canary([{ name: 'x' }]), { phase: 'Odd' })],
  ])('is not read when %s is not valid either', (_, object) => {
    expect(readRollout(object).object).toBeUndefined();
  });
});

describe('an AdapterAnalysis', () => {
  const analysis = (spec: object) => ({ ...raw({}), kind: 'AdapterAnalysis', spec });
  it('is read with its defaults, and one that is not valid says why', () => {
    expect(readAnalysis(analysis({})).object?.spec).toEqual({ onInconclusive: 'Pause' });
    const { object, problems } = readAnalysis(
      analysis({ metrics: [{ name: 'x', source: { builtin: 'Latency', http: 7 } }] }),
    );
    expect(object).toBeUndefined();
    expect(problems.map(({ reason }) => reason)).toEqual([
      expect.stringMatching(/^spec\.metrics\[0\]\.source\.http: must be/),
    ]);
  });
});
