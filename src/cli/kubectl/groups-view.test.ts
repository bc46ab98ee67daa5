import { stripVTControlCharacters } from 'node:util';
import { describe, expect, it } from 'vitest';
import type { GroupStatus } from '../../api/group-status.ts';
import { aRollout, aStatus, bound } from '../../plan/manifests.fixture.ts';
import { groupsView } from './groups-view.ts';
import { rolloutView } from './rollout-view.ts';

const group = (name: string, more: Partial<GroupStatus>): GroupStatus => ({
  name,
  phase: 'Succeeded',
  hash: '',
  reach: 1,
  weight: 100,
  step: 2,
  message: '',
  ...more,
});
const counts = { desired: 1, updated: 1, ready: 1, failed: 0, offline: 0 };
const rollout = aRollout(
  { name: 'sql' },
  { adapter: 'sql-v2' },
  aStatus({
    phase: 'Paused',
    message: 'group second: step 2/2 waits until somebody promotes, canary at 20 %',
    stable: bound('sql-v1'),
    canary: { ...bound('sql-v2'), seed: '0123456789abcdef', attempt: 1 },
    weights: { canary: 20, stable: 80 },
    step: { index: 1, total: 2, hash: '', elapsedMs: 0, promoted: false },
    groups: [
      group('pilot', { runtimes: counts }),
      group('lab', { reach: 0, weight: 0, message: 'no runtime is in it' }),
      group('second', {
        phase: 'Progressing',
        weight: 20,
        runtimes: { desired: 12, updated: 9, ready: 9, failed: 1, offline: 2 },
      }),
      group('rest', { phase: 'Pending', reach: 0, weight: 0 }),
    ],
  }),
);

describe('the view of groups', () => {
  it('has one line for each, with what it is allowed and how many runtimes are how far', () => {
    expect(stripVTControlCharacters(groupsView(rollout).join('\n'))).toMatchInlineSnapshot(`
      "
      GROUP      STATUS        WEIGHT   RUNTIMES
      ✔ pilot    Succeeded     100 %    1 of 1 ready
      ✔ lab      Succeeded              no runtime is in it
      ◌ second   Progressing   20 %     9 of 12 ready, 1 failed, 2 offline
      ○ rest     Pending"
    `);
  });

  it('is a part of the view of a rollout that is under way in groups, and of no other', () => {
    expect(stripVTControlCharacters(rolloutView(rollout, [], 0))).toContain('GROUP');
    const { groups: _, ...status } = rollout.status ?? aStatus();
    expect(groupsView({ ...rollout, status })).toEqual([]);
  });
});
