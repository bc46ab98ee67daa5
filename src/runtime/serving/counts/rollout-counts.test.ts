import { expect, it } from 'vitest';
import { fakeDigest } from '../../../api/names.fixture.ts';
import { split } from '../../../control/plans.fixture.ts';
import { RolloutCounts } from './rollout-counts.ts';

it('a request and a copy that end after their rollout is gone count for nothing that is kept', () => {
  const counts = new RolloutCounts();
  const planned = split('team-a/s', { uid: 'r1' });
  const digest = fakeDigest('a');
  const request = {
    split: { key: planned.name, uid: 'r1', canaryDigest: digest, weight: 5 },
    rollout: 's',
    arm: 'canary',
    digest,
  } as const;
  const copied = { uid: 'r1', digest, attempt: 1 };
  const served = () => [
    counts.served.ofRollout(planned.name).canary,
    counts.served.atWeight('r1', digest, 5).canary,
    counts.copies.ofAttempt('r1', digest, 1)?.requests ?? 0,
  ];
  const end = () => {
    counts.answered(request, 1);
    counts.copies.add(copied, 'equal', { requests: 1 });
  };
  counts.follow([planned]);
  end();
  expect(served()).toEqual([1, 1, 1]);
  counts.follow([], [planned]);
  end();
  expect(served()).toEqual([0, 0, 0]);
  expect(counts.copies.totals()).toMatchObject({ equal: 2 });
  counts.follow([planned]);
  end();
  expect(served()).toEqual([1, 1, 1]);
});
