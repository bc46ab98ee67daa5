import { describe, expect, it } from 'vitest';
import type { GroupStatus } from '../../src/api/group-status.ts';
import type { Digest } from '../../src/api/names.ts';
import type { RolloutStatus } from '../../src/api/rollout-status.ts';
import { wrongIn } from './transition.ts';

const steps = [
  { setWeight: 30 },
  { pause: { duration: '2s' } },
  { setWeight: 70 },
  { pause: { duration: '1s' } },
];
const bound = (name: string) => ({
  adapter: name,
  uid: name,
  digest: `sha256:${name.padEnd(64, '0')}` as Digest,
});
const stepAt = (index: number) => ({ index, total: 4, hash: 'h', elapsedMs: 0, promoted: false });
const canary = { ...bound('b'), seed: '0', attempt: 2 };
const status = (more: Partial<RolloutStatus> = {}): RolloutStatus => ({
  observedGeneration: 2,
  phase: 'Paused',
  revision: 5,
  message: '',
  stable: bound('a'),
  attempts: 2,
  history: [bound('z')],
  weights: { canary: 0, stable: 100 },
  conditions: [],
  leaderEpoch: 3,
  ...more,
});
const at = (index: number, weight: number, more: Partial<RolloutStatus> = {}): RolloutStatus =>
  status({ canary, step: stepAt(index), weights: { canary: weight, stable: 100 - weight }, ...more });
const look = (before: RolloutStatus, after: RolloutStatus, isNext = true) =>
  wrongIn({ before, after, steps, isNext });
const abort = { at: '', reason: 'aborted by hand', uid: 'b', digest: canary.digest };
const promoted = { stable: bound('b'), completionStatus: 'Promoted', revision: 6 } as const;

describe('two statuses that follow each other', () => {
  it.each<[string, RolloutStatus, RolloutStatus]>([
    ['a step after a step', at(1, 30), at(3, 70, { revision: 6 })],
    ['the first step', at(0, 0), at(1, 30, { revision: 6 })],
    ['the end', at(3, 70), status(promoted)],
    ['an abort', at(3, 70), at(3, 0, { abort, revision: 6 })],
    [
      'a retry',
      at(3, 0, { abort }),
      at(1, 30, { canary: { ...canary, attempt: 3 }, attempts: 3, revision: 6 }),
    ],
    ['a canary that is bound', status(), at(1, 30, { revision: 6 })],
    ['all of it at once by hand', at(1, 30, { step: { ...stepAt(4), full: true } }), status(promoted)],
    [
      'a former stable that comes back',
      status(),
      status({ stable: bound('z'), completionStatus: 'FastRolledBack', revision: 6 }),
    ],
  ])('may be %s', (_, before, after) => {
    expect(look(before, after)).toBeUndefined();
  });

  it.each<[string, RolloutStatus, RolloutStatus, RegExp]>([
    ['a step back', at(3, 70), at(1, 30, { revision: 6 }), /the step fell/],
    ['a pause that is left out', at(0, 0), at(3, 70, { revision: 6 }), /1 steps that wait were left out/],
    ['an end without its steps', at(1, 30), status(promoted), /became stable with 1 steps/],
    ['a decision that was lost', at(1, 30), at(3, 70, { revision: 7 }), /revision grew by 2/],
    ['a term that falls', at(1, 30), at(1, 30, { leaderEpoch: 2 }), /leaderEpoch fell from 3 to 2/],
    ['a weight of another step', at(1, 30), at(1, 70, { revision: 6 }), /has 70 % at step 1/],
    ['a weight of who was given up', at(1, 30), at(1, 30, { abort, revision: 6 }), /where it should have 0/],
    ['an abort that is forgotten', at(1, 0, { abort }), at(1, 30, { revision: 6 }), /forgotten/],
    [
      'a stable from nowhere',
      status(),
      status({ stable: bound('q'), revision: 6 }),
      /neither stable nor the canary/,
    ],
    [
      'one that was given up and became stable',
      at(3, 0, { abort }),
      status(promoted),
      /given up became stable/,
    ],
  ])('may not be %s', (_, before, after, says) => {
    expect(look(before, after)).toMatch(says);
  });

  const group = (name: string, phase: GroupStatus['phase'], more: Partial<GroupStatus> = {}): GroupStatus => {
    const reach = phase === 'Pending' ? 0 : 10;
    return { name, phase, hash: name, reach, weight: 0, step: 0, message: '', ...more };
  };
  const inGroups = (...groups: readonly GroupStatus[]) => at(3, 0, { revision: 6, groups: [...groups] });
  const [done, next] = [group('pilot', 'Succeeded', { step: 4 }), group('all', 'Pending')];

  it.each<[string, RolloutStatus, RolloutStatus]>([
    ['a group that begins', inGroups(done, next), inGroups(done, group('all', 'Progressing', { step: 1 }))],
    [
      'the end of a group and the beginning of the next',
      inGroups(group('pilot', 'Progressing', { step: 3 }), next),
      inGroups(done, group('all', 'Progressing', { step: 1 })),
    ],
    ['the end of the last', inGroups(done, group('all', 'Progressing', { step: 3 })), status(promoted)],
    ['a group that fails', inGroups(done, next), inGroups(group('pilot', 'Failed', { step: 4 }), next)],
  ])('may be %s', (_, before, after) => {
    expect(look(before, after)).toBeUndefined();
  });

  it.each<[string, RolloutStatus, RolloutStatus, RegExp]>([
    [
      'a group that begins before the one in front of it ended',
      inGroups(group('pilot', 'Progressing', { step: 1 }), next),
      inGroups(group('pilot', 'Progressing', { step: 1 }), group('all', 'Progressing', { step: 1 })),
      /group all began before/,
    ],
    [
      'a group that reaches others than before',
      inGroups(done, next),
      inGroups({ ...done, reach: 11 }, next),
      /group pilot reached others/,
    ],
    [
      'a group that falls back',
      inGroups(done, next),
      inGroups(group('pilot', 'Progressing', { step: 3 }), next),
      /group pilot fell from Succeeded/,
    ],
    [
      'a step of a group that is left out',
      inGroups(group('pilot', 'Progressing', { step: 1 }), next),
      inGroups(group('pilot', 'Baking', { step: 4 }), next),
      /group pilot: 1 steps that wait/,
    ],
    [
      'the end with a group under way',
      inGroups(group('pilot', 'Progressing', { step: 3 }), group('all', 'Progressing', { step: 3 })),
      status(promoted),
      /2 groups under way/,
    ],
  ])('may not be %s', (_, before, after, says) => {
    expect(look(before, after)).toMatch(says);
  });

  it('says nothing of steps between statuses of which some were missed, but of numbers that fall', () => {
    expect(look(at(0, 0), at(3, 70, { revision: 9 }), false)).toBeUndefined();
    expect(look(at(1, 30), at(1, 30, { revision: 4 }), false)).toMatch(/revision fell/);
  });
});
