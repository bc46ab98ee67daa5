import { expect, it } from 'vitest';
import type { GroupStatus } from '../../api/group-status.ts';
import { fakeDigest } from '../../api/names.fixture.ts';
import type { RolloutStatus } from '../../api/rollout-status.ts';
import { aRollout, aStatus, bound } from '../../plan/manifests.fixture.ts';
import { takesBack } from './urgency.ts';

const canary = { ...bound('v2'), seed: '0123456789abcdef', attempt: 1 };
const at = (weight: number, more: Partial<RolloutStatus> = {}): Partial<RolloutStatus> => ({
  stable: bound('v1'),
  canary,
  weights: { canary: weight, stable: 100 - weight },
  ...more,
});
const another = { ...canary, ...bound('v3') };
const abort = { at: '2026-01-01T00:00:00Z', reason: '', uid: canary.uid, digest: canary.digest };
const groups = (...given: readonly Partial<GroupStatus>[]): GroupStatus[] =>
  given.map((one, n) => ({
    name: `g-${n}`,
    phase: 'Progressing',
    hash: '',
    reach: 1,
    weight: 0,
    step: 0,
    message: '',
    ...one,
  }));
const promoted = { stable: bound('v2'), weights: { canary: 0, stable: 100 } };

it.each<[string, Partial<RolloutStatus>, Partial<RolloutStatus>, boolean]>([
  ['an abort', at(20), at(0, { abort }), true],
  ['a lower weight of the canary', at(20), at(5), true],
  ['a rollback by hand', promoted, { stable: bound('v1'), completionStatus: 'FastRolledBack' }, true],
  [
    'a group that went back',
    at(20, { groups: groups({ weight: 20 }) }),
    at(20, { groups: groups({ weight: 20, phase: 'RolledBack' }) }),
    true,
  ],
  ['the next step', at(20), at(50), false],
  ['a promotion', at(50), promoted, false],
  [
    'the next group',
    at(100, { groups: groups({ weight: 100 }, {}) }),
    at(5, { groups: groups({ weight: 100, phase: 'Succeeded' }, { weight: 5 }) }),
    false,
  ],
  ['another canary in the place of one that served', at(50), at(0, { canary: another }), true],
  [
    'the same Adapter with another digest',
    at(50),
    at(50, { canary: { ...canary, digest: fakeDigest('f') } }),
    true,
  ],
  ['another attempt with one that served', at(50), at(50, { canary: { ...canary, attempt: 2 } }), true],
  [
    'another canary in the place of one that a former group has',
    at(0, { groups: groups({ weight: 100 }, { weight: 0 }) }),
    at(0, { canary: another }),
    true,
  ],
  ['no canary in the place of one that served', at(50), { stable: bound('v1') }, true],
  ['another canary in the place of one that did not serve', at(0), at(5, { canary: another }), false],
  [
    'another attempt with one that did not serve',
    at(0, { abort }),
    at(5, { canary: { ...canary, attempt: 2 } }),
    false,
  ],
  ['an abort that is there already', at(0, { abort }), at(0, { abort, message: 'waits' }), false],
])('%s', (_, before, after, expected) => {
  const [one, two] = [before, after].map((status) =>
    aRollout({ name: 'r' }, { adapter: 'v2' }, aStatus(status)),
  );
  expect(takesBack(one, two)).toBe(expected);
  expect(takesBack(undefined, two)).toBe(false);
});

it.each<[string, Partial<RolloutStatus> | undefined, boolean]>([
  ['has a version in service', promoted, true],
  ['has only a canary that serves', at(100, { stable: undefined }), true],
  ['has none yet', undefined, false],
])('a rollout that is deleted and %s', (_, status, expected) => {
  const rollout = aRollout({ name: 'r' }, { adapter: 'v2' }, status && aStatus(status));
  expect(takesBack(rollout, undefined)).toBe(expected);
});
