import { describe, expect, it } from 'vitest';
import { objectKey } from '../../api/names.ts';
import { aRollout, aStatus, bound } from '../../plan/manifests.fixture.ts';
import { FakeCluster } from '../testing/fake-cluster.ts';
import { Uses } from './uses.ts';

const v1 = objectKey('team-a', 'v1');
const uid = 'Adapter-team-a-v1';

describe('uses of Adapters', () => {
  it('follow the cache from before it was looked at', () => {
    const cluster = new FakeCluster();
    cluster.apply(aRollout({ name: 'sql' }, { adapter: 'v1' }));
    const uses = new Uses(cluster.rollouts);
    expect(uses.of(v1, uid)).toEqual([{ rollout: 'team-a/sql', as: 'spec.adapter' }]);
    const key = cluster.apply(aRollout({ name: 'sql' }, { adapter: 'v2' }, aStatus({ stable: bound('v1') })));
    expect(uses.of(v1, uid)).toEqual([{ rollout: 'team-a/sql', as: 'stable' }]);
    expect([...uses.rolloutsOf(objectKey('team-a', 'v2'))]).toEqual([key]);
    cluster.remove('AdapterRollout', key);
    expect([...uses.rolloutsOf(v1)]).toEqual([]);
  });

  it('stay within the namespace', () => {
    const cluster = new FakeCluster();
    const uses = new Uses(cluster.rollouts);
    cluster.apply(aRollout({ name: 'sql', namespace: 'other' }, { adapter: 'v1' }));
    expect(uses.of(v1, uid)).toEqual([]);
  });

  it('are as last read where a rollout cannot be read, and uncertain where it never could', () => {
    const cluster = new FakeCluster();
    const uses = new Uses(cluster.rollouts);
    const rollout = aRollout({ name: 'sql' }, { adapter: 'v1' });
    cluster.apply(rollout);
    const problems = [{ path: ['status'], reason: 'unknown' }];
    cluster.apply(rollout, {}, problems);
    expect(uses.of(v1, uid)).toHaveLength(1);
    expect(uses.uncertain('team-a')).toBe(false);
    cluster.apply(aRollout({ name: 'other' }, { adapter: 'v1' }), {}, problems);
    expect(uses.uncertain('team-a')).toBe(true);
    cluster.remove('AdapterRollout', objectKey('team-a', 'other'));
    expect(uses.uncertain('team-a')).toBe(false);
    cluster.apply(rollout, {}, [{ path: ['status'], reason: 'still unknown' }]);
    expect(uses.of(v1, uid)).toHaveLength(1);
  });
});
