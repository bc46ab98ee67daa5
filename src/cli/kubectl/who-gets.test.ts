import { describe, expect, it } from 'vitest';
import type { GroupStatus } from '../../api/group-status.ts';
import { groupPoints } from '../../api/group-status.ts';
import { fakeDigest } from '../../api/names.fixture.ts';
import { aRollout, aStatus, bound } from '../../plan/manifests.fixture.ts';
import { GroupWorld } from '../../rollout/groups/fleet.fixture.ts';
import { assignmentOf, assignmentText } from './who-gets.ts';

const canary = { ...bound('v2'), digest: fakeDigest('2'), seed: '0123456789abcdef', attempt: 1 };
const group = (
  name: string,
  phase: GroupStatus['phase'],
  weight: number,
  reach = groupPoints,
): GroupStatus => ({ name, phase, hash: '', reach, weight, step: 0, message: '' });
const inGroups = (weight: number, ...groups: readonly GroupStatus[]) => {
  const weights = { canary: weight, stable: 100 - weight };
  return aRollout(
    { name: 'sql' },
    { adapter: 'v2' },
    aStatus({ stable: bound('v1'), canary, weights, groups: [...groups] }),
  );
};

describe('of a rollout in groups it is said for the runtimes of each', () => {
  const lab = group('lab', 'Succeeded', 100);
  const rest = group('rest', 'Pending', 0, 0);

  it('a group that succeeded has the canary, whatever the present one is given', () => {
    const found = assignmentOf(inGroups(0, lab, group('tenth', 'Progressing', 0), rest), { user: 'u1' });
    expect(found).toMatchObject({ arm: 'none', why: 'it depends on the group of the runtime' });
    expect(found.groups?.map(({ group: name, arm, adapter }) => [name, arm, adapter])).toEqual([
      ['lab', 'canary', 'v2'],
      ['tenth', 'stable', 'v1'],
      ['rest', 'stable', 'v1'],
    ]);
    expect(assignmentText(found)).toBe(
      [
        'group lab: v2 (canary): 100 % go to the canary; runtimes where it is not Resident or held answer with stable',
        'group tenth: v1 (stable): the canary has the weight 0',
        'group rest: v1 (stable): the group has not begun',
        '',
      ].join('\n'),
    );
  });

  it('by the weight of each, and where nothing sticks to the caller it is not guessed', () => {
    const rollout = inGroups(10, lab, group('tenth', 'Progressing', 10), rest);
    const arms = (caller: Parameters<typeof assignmentOf>[1]) =>
      assignmentOf(rollout, caller).groups?.map(({ arm }) => arm);
    expect(arms({})).toEqual(['canary', 'none', 'stable']);
    const users = Array.from({ length: 500 }, (_, index) => `u${index}`);
    const inTenth = users.filter((user) => arms({ user })?.[1] === 'canary').length / users.length;
    expect(Math.abs(inTenth - 0.1)).toBeLessThan(0.05);
  });

  it('a group that went back has stable, and one in which nobody is is left out', () => {
    const found = assignmentOf(
      inGroups(0, group('lab', 'Succeeded', 0, 0), group('tenth', 'RolledBack', 0), rest),
      { user: 'u1' },
    );
    expect(found).toMatchObject({ arm: 'stable', adapter: 'v1', why: 'the same in every group' });
    expect(found.groups?.map(({ group: name, why }) => [name, why])).toEqual([
      ['tenth', 'the group went back to stable'],
      ['rest', 'the group has not begun'],
    ]);
  });

  it('it is what the plan gives a runtime of the group', () => {
    const world = new GroupWorld([{ name: 'lab', selector: { matchLabels: { site: 'lab' } } }], [
      { setWeight: 40 },
      { pause: {} },
    ] as never)
      .joinWith({ site: 'lab' }, 'lab')
      .join('a', 'b')
      .begin()
      .settle();
    const told = () => {
      const rollout = aRollout({ name: 'sql' }, { adapter: 'v2' }, world.status);
      const { groups = [] } = assignmentOf(rollout, {});
      return groups.map(({ group: name, weight }) => [name, weight]);
    };
    const given = () => [
      ['lab', world.given('lab').weight],
      ['rest', world.given('a').weight],
    ];
    expect(told()).toEqual(given());
    expect(given()).toEqual([
      ['lab', 40],
      ['rest', 0],
    ]);
    world.decide({ verb: 'promote' });
    world.settle();
    expect(told()).toEqual(given());
    expect(given()).toEqual([
      ['lab', 100],
      ['rest', 40],
    ]);
  });
});

it('a canary that was given up is nobody’s, in whichever group', () => {
  const groups = [group('lab', 'RolledBack', 0), group('rest', 'Pending', 0, 0)];
  const abort = { at: '2026-01-01T00:00:00Z', reason: 'by hand', uid: 'u', digest: 'd' };
  const { status, ...rollout } = inGroups(0, ...groups);
  const found = assignmentOf({ ...rollout, status: { ...(status ?? aStatus()), abort } }, { user: 'u1' });
  expect(found).toMatchObject({ arm: 'stable', adapter: 'v1' });
});
