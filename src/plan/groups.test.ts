import { describe, expect, it } from 'vitest';
import { type GroupStatus, groupPoints } from '../api/group-status.ts';
import type { RolloutStatus } from '../api/rollout-status.ts';
import { groupPointOf } from '../rollout/groups/membership.ts';
import { compilePlan } from './compile.ts';
import { anAdapter, aRollout, aStatus, bound } from './manifests.fixture.ts';
import type { AdapterResource, SplitResource } from './resources.ts';

const uid = 'AdapterRollout-team-a-sql';
const keys = Array.from({ length: 6 }, (_, i) => `edge/node-${i}`).toSorted(
  (a, b) => groupPointOf(uid, a) - groupPointOf(uid, b),
);
const [first = '', second = '', third = ''] = keys;
const adapters = [anAdapter({ name: 'sql-v1' }), anAdapter({ name: 'sql-v2' })];
const group = (name: string, more: Partial<GroupStatus>): GroupStatus => ({
  name,
  phase: 'Progressing',
  hash: '',
  reach: 0,
  weight: 0,
  step: 0,
  message: '',
  ...more,
});
/** The first runtime in a group that succeeded, the second in one under way at 20 %, the others in none yet. */
const inGroups: readonly GroupStatus[] = [
  group('pilot', { phase: 'Succeeded', reach: groupPointOf(uid, first) + 1, weight: 100 }),
  group('second', { reach: groupPointOf(uid, second) + 1, weight: 20 }),
  group('rest', { phase: 'Pending' }),
];
const status = (more: Partial<RolloutStatus> = {}) =>
  aStatus({
    stable: bound('sql-v1'),
    canary: { ...bound('sql-v2'), seed: '0123456789abcdef', attempt: 1 },
    weights: { canary: 20, stable: 80 },
    groups: [...inGroups],
    ...more,
  });
const given = (key: string, of: RolloutStatus | undefined, spec = {}) => {
  const manifests = [...adapters, aRollout({ name: 'sql' }, { adapter: 'sql-v2', ...spec }, of)];
  const { plan } = compilePlan({ manifests, runtime: { baseModel: 'tiny', labels: {}, key } });
  const split = plan.get('Split team-a/sql') as SplitResource;
  const adapter = plan.get('AdapterSpec team-a/sql-v2') as AdapterResource;
  return [split.body.weight, adapter.body.tier, adapter.body.held];
};

describe('the plan of a runtime, where a rollout is under way in groups', () => {
  it.each([
    ['its group succeeded', first, [100, 'Memory', true]],
    ['its group is under way', second, [20, 'Memory', true]],
    ['its group has not begun: what kills nodes when it is loaded is not loaded', third, [0, 'Disk', false]],
  ])('has what its group allows where %s', (_, key, expected) => {
    expect(given(key, status())).toEqual(expected);
  });

  it('follows the status, whatever the spec says of groups meanwhile', () => {
    expect(given(first, status(), { groups: [{ name: 'other' }] })).toEqual([100, 'Memory', true]);
  });

  it('takes the canary from a group that went back, and from all when it was given up', () => {
    const back = inGroups.map((one) =>
      one.name === 'second' ? { ...one, phase: 'RolledBack' as const } : one,
    );
    expect(given(second, status({ groups: back }))).toEqual([0, 'Disk', false]);
    const abort = { at: '', reason: '', uid: bound('sql-v2').uid, digest: bound('sql-v2').digest };
    expect(given(first, status({ abort }))).toEqual([0, 'Disk', false]);
  });

  it('copies requests in the present group alone', () => {
    const manifests = [
      ...adapters,
      aRollout(
        { name: 'sql' },
        { adapter: 'sql-v2' },
        status({ weights: { canary: 20, stable: 80, mirror: 5 } }),
      ),
    ];
    const mirrors = [first, second, third].map((key) => {
      const { plan } = compilePlan({ manifests, runtime: { baseModel: 'tiny', labels: {}, key } });
      return (plan.get('Split team-a/sql') as SplitResource).body.mirror;
    });
    expect(mirrors).toEqual([undefined, 5, undefined]);
  });

  it('brings an adapter that groups will get to the disk, as long as nothing was decided about it', () => {
    const settled = aStatus({ stable: bound('sql-v1') });
    const groups = [{ name: 'pilot', limit: { count: 1 } }];
    expect(given(first, settled, { groups })).toEqual([0, 'Disk', false]);
    expect(given(first, settled)).toEqual([0, 'Memory', false]);
    expect(given(first, undefined, { groups })).toEqual([0, 'Memory', true]);
  });

  it('gives a runtime without a cluster the whole rollout', () => {
    const alone = status();
    delete alone.groups;
    expect(given('', alone, { groups: [{ name: 'pilot' }] })).toEqual([20, 'Memory', true]);
  });

  it('reaches everybody with a last group that has begun', () => {
    const all = inGroups.map((one) =>
      one.name === 'rest' ? { ...one, phase: 'Progressing' as const, reach: groupPoints, weight: 5 } : one,
    );
    expect(given(third, status({ groups: all }))).toEqual([5, 'Memory', true]);
  });
});
