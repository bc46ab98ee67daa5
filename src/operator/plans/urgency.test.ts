import { expect, it } from 'vitest';
import type { GroupStatus } from '../../api/group-status.ts';
import { fakeDigest } from '../../api/names.fixture.ts';
import { objectKey } from '../../api/names.ts';
import type { RolloutStatus } from '../../api/rollout-status.ts';
import { anAdapter, aRollout, aStatus, bound } from '../../plan/manifests.fixture.ts';
import { FakeClock } from '../../time/fake-clock.ts';
import { FakeObjects } from './fake-objects.ts';
import { Plans } from './plans.ts';
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

type Happening = (objects: FakeObjects, rollout: ReturnType<typeof aRollout>) => void;
const becomesUnreadable: Happening = ({ rollouts }, rollout) => rollouts.put(rollout, false);
const goes: Happening = ({ rollouts }) => rollouts.delete(objectKey('team-a', 'r'));

it.each<[string, Happening[], Happening, string[]]>([
  ['is deleted goes before what came earlier', [], goes, ['team-a', 'team-c', 'team-b']],
  [
    'cannot be read any more takes nothing back, and waits its turn',
    [],
    becomesUnreadable,
    ['team-c', 'team-b', 'team-a'],
  ],
  [
    'could not be read and is deleted goes before what came earlier',
    [becomesUnreadable],
    goes,
    ['team-a', 'team-c', 'team-b'],
  ],
])('a rollout in service that %s', (_, earlier, change, expected) => {
  const objects = new FakeObjects();
  const clock = new FakeClock();
  const plans = new Plans({ objects, clock });
  const told: string[] = [];
  const rollout = aRollout({ name: 'r' }, { adapter: 'v2' }, aStatus(at(20)));
  const { digest } = bound('v1');
  for (const name of ['v1', 'v2']) objects.adapters.put(anAdapter({ name }, { digest }));
  objects.rollouts.put(rollout);
  for (const namespace of ['team-a', 'team-b', 'team-c']) {
    objects.runtime(namespace, 'pod');
    const key = objectKey(namespace, 'pod');
    plans.follow({ key, kind: 'Pod', baseModel: 'tiny' }, () => told.push(namespace));
  }
  clock.advance(1_000);
  for (const happen of earlier) happen(objects, rollout);
  clock.advance(1_000);
  told.length = 0;
  // One waits to be told, one for its plan to be compiled.
  objects.runtimes.delete(objectKey('team-c', 'pod'));
  objects.adapters.put(anAdapter({ name: 'other', namespace: 'team-b' }, { digest }));
  change(objects, rollout);
  clock.advance(1_000);
  plans.close();
  expect(told).toEqual(expected);
});
