import { expect, it } from 'vitest';
import { fakeDigest } from '../../api/names.fixture.ts';
import type { RolloutObject } from '../../api/objects.ts';
import { noCopyCounts } from '../../rollout/copies.ts';
import { ArmCounter } from '../../rollout/judge/counts.ts';
import { reportsOf } from '../../rollout/judge/reports.ts';
import { factsOf, type NodeFacts } from './facts.ts';

const rolloutWith = (status: unknown) =>
  ({
    kind: 'AdapterRollout',
    metadata: { namespace: 'team-a', name: 'sql', uid: 'r1' },
    spec: { adapter: 'v2' },
    status,
  }) as RolloutObject;

it('a rollout is decided with what this node counted of its canary, in its present attempt', () => {
  const idle = new ArmCounter().snapshot();
  const counted = { node: 'n', instance: 'i', weight: 5, seq: 1, stable: idle, canary: idle };
  const asked: unknown[] = [];
  const node: NodeFacts = {
    adapter: () => undefined,
    holds: () => [],
    reports: (...which) => {
      asked.push(which);
      return reportsOf([counted]);
    },
    mirrored: (...which) => (which[2] === 3 ? { ...noCopyCounts, requests: 2 } : undefined),
    fits: () => ({ fits: true, message: '', unknown: [] }),
  };
  const digest = fakeDigest('2');
  const canary = { adapter: 'v2', uid: 'v2', digest, seed: '00', attempt: 3 };
  const facts = factsOf(rolloutWith({ canary }), new Map(), node);
  expect(asked).toEqual([['r1', digest, 3]]);
  expect([...(facts.reports?.values() ?? [])]).toEqual([counted]);
  expect(facts.mirrored).toMatchObject({ requests: 2 });
  expect(factsOf(rolloutWith({}), new Map(), node)).not.toHaveProperty('reports');
});

it.each([
  ['SIGNATURE_MISSING', 'SIGNATURE_MISSING: why'],
  ['SOURCE_NOT_ALLOWED', 'SOURCE_NOT_ALLOWED: why'],
  ['REGISTRY_UNAVAILABLE', undefined],
])('a former stable that failed by %s here says so to who would go back', (reason, expected) => {
  const digest = fakeDigest('1');
  const node: NodeFacts = {
    adapter: () => ({ uid: 'v1', digest, state: 'Failed', serves: false, reason, message: 'why' }),
    holds: () => [],
    reports: () => reportsOf([]),
    fits: () => ({ fits: true, message: '', unknown: [] }),
  };
  const { whyNotBack } = factsOf(rolloutWith({}), new Map(), node);
  expect(whyNotBack?.({ adapter: 'v1', uid: 'v1', digest })).toBe(expected);
  expect(whyNotBack?.({ adapter: 'v1', uid: 'another', digest })).toBeUndefined();
});
