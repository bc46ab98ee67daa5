import { expect, it } from 'vitest';
import { fakeDigest } from '../../../api/names.fixture.ts';
import { objectKey } from '../../../api/names.ts';
import { ServedCounts } from './served-counts.ts';

const sql = objectKey('default', 'sql');
const at = (weight: number, digest = fakeDigest('a')) =>
  ({ key: sql, uid: 'r1', canaryDigest: digest, weight }) as const;

it('counts in all and while a canary had a weight; going back to a weight goes on with its count', () => {
  let changed = 0;
  const counts = new ServedCounts(() => changed++);
  counts.add(at(5), 'stable');
  counts.add(at(5), 'canary');
  counts.add(at(25), 'canary');
  counts.add(at(5), 'canary');
  counts.add(at(5, fakeDigest('b')), 'canary');
  counts.add(at(5), 'base');
  expect(counts.ofRollout(sql)).toEqual({ stable: 1, canary: 4 });
  expect(counts.atWeight('r1', fakeDigest('a'), 5)).toEqual({ stable: 1, canary: 2 });
  expect(counts.atWeight('r1', fakeDigest('a'), 25)).toEqual({ stable: 0, canary: 1 });
  expect(counts.atWeight('r1', fakeDigest('a'), 50)).toEqual({ stable: 0, canary: 0 });
  expect(changed).toBe(5);
});

it('forgets rollouts that are not in the plan any more', () => {
  const counts = new ServedCounts();
  counts.add(at(5), 'canary');
  counts.forget(['r2'], []);
  expect(counts.ofRollout(sql).canary).toBe(1);
  counts.forget(['r1'], []);
  expect([counts.ofRollout(sql).canary, counts.atWeight('r1', fakeDigest('a'), 5).canary]).toEqual([1, 0]);
  counts.forget([], [sql]);
  expect(counts.ofRollout(sql).canary).toBe(0);
});

it('keeps a bounded number of weights and canaries of a rollout', () => {
  const counts = new ServedCounts();
  for (let weight = 0; weight < 400; weight++) counts.add(at(weight), 'canary');
  expect(counts.atWeight('r1', fakeDigest('a'), 0).canary).toBe(0);
  expect(counts.atWeight('r1', fakeDigest('a'), 399).canary).toBe(1);
  expect(counts.ofRollout(sql).canary).toBe(400);
});
