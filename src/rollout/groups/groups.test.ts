import { describe, expect, it } from 'vitest';
import { GroupWorld, minute } from './fleet.fixture.ts';

const names = ['a', 'b', 'c', 'd', 'e', 'f'];
const manual = [{ setWeight: 20 }, { pause: {} }];
/** One runtime, then two, then the rest. */
const waves = (more: Readonly<Record<string, unknown>> = {}) => [
  { name: 'pilot', limit: { count: 1 }, ...more },
  { name: 'second', limit: { count: 2 }, ...more },
];
const world = (more: Readonly<Record<string, unknown>> = {}, steps = manual) =>
  new GroupWorld(waves(more), steps).join(...names).begin();

describe('groups of a rollout', () => {
  it('run the steps one after the other, and those that succeeded keep the canary', () => {
    const fleet = world().settle();
    expect(fleet.phases).toEqual(['pilot Progressing 20', 'second Pending 0', 'rest Pending 0']);
    expect(fleet.having(20)).toHaveLength(1);
    fleet.decide({ verb: 'promote' });
    expect(fleet.phases[0]).toBe('pilot Baking 100');
    fleet.follow().settle();
    expect(fleet.phases).toEqual(['pilot Succeeded 100', 'second Progressing 20', 'rest Pending 0']);
    expect(fleet.status).toMatchObject({ weights: { canary: 20 }, step: { index: 1, total: 2 } });
    expect([fleet.having(100).length, fleet.having(20).length]).toEqual([1, 3]);
    fleet.decide({ verb: 'promote' });
    fleet.settle();
    expect(fleet.phases).toEqual(['pilot Succeeded 100', 'second Succeeded 100', 'rest Progressing 20']);
    fleet.decide({ verb: 'promote' });
    fleet.settle();
    expect(fleet.status).toMatchObject({ phase: 'Healthy', stable: { adapter: 'v2' } });
    expect(fleet.status?.groups).toBeUndefined();
    expect(fleet.events.filter((reason) => reason.startsWith('Group'))).toEqual(
      ['Started', 'Succeeded', 'Started', 'Succeeded', 'Started', 'Succeeded'].map((what) => `Group${what}`),
    );
  });

  it('give the first adapter of a rollout to everybody at once', () => {
    const fleet = new GroupWorld(waves()).join(...names);
    fleet.decide();
    expect(fleet.status).toMatchObject({ phase: 'Healthy', stable: { adapter: 'v1' } });
  });

  it('do not matter on the way back to a recent stable', () => {
    const fleet = world({}, []).settle().name('v1');
    fleet.decide();
    expect(fleet.status?.groups).toBeUndefined();
    expect(fleet.having()).toEqual(names);
  });

  it('bake for their time with everybody on the canary, and count only while they are ready', () => {
    const fleet = world({ bakeTime: '10m' }, []).settle();
    expect(fleet.phases[0]).toBe('pilot Baking 100');
    expect(fleet.status).toMatchObject({
      phase: 'Paused',
      message: 'group pilot: bakes for 10m, canary at 100 %',
    });
    const [pilot = ''] = fleet.having();
    fleet.decide({ elapsedMs: 5 * minute });
    fleet.behave('Slow', pilot).decide({ elapsedMs: minute });
    expect(fleet.status?.phase).toBe('Progressing');
    fleet.decide({ elapsedMs: 60 * minute });
    fleet.behave('Good', pilot).decide();
    fleet.decide({ elapsedMs: 5 * minute - 1 });
    expect(fleet.phases[0]).toBe('pilot Baking 100');
    expect(fleet.decide({ elapsedMs: 1 }).events.map(({ reason }) => reason)).toEqual([
      'GroupSucceeded',
      'GroupStarted',
    ]);
  });

  it('do not count the pause of the last step as baking', () => {
    const fleet = world({ bakeTime: '1m' }, [
      { setWeight: 20 },
      { pause: { duration: '1h' } },
    ] as never).settle();
    fleet.decide({ elapsedMs: 60 * minute });
    expect(fleet.phases[0]).toBe('pilot Baking 100');
    fleet.follow().decide();
    expect(fleet.phases[0]).toBe('pilot Baking 100');
    expect(fleet.decide({ elapsedMs: minute }).status.groups?.[0]?.phase).toBe('Succeeded');
  });

  it('wait for a person after one that asks for it', () => {
    const fleet = world({ successAction: 'Pause' }, []).settle();
    expect(fleet.phases).toEqual(['pilot Paused 100', 'second Pending 0', 'rest Pending 0']);
    expect(fleet.status?.message).toContain('waits until somebody promotes');
    fleet.decide({ verb: 'promote' });
    expect(fleet.settle().phases[1]).toBe('second Paused 100');
  });

  it('show the next group from the promote on, also while the spec holds the rollout', () => {
    const fleet = world({ successAction: 'Pause' }, []).settle();
    expect(fleet.phases[0]).toBe('pilot Paused 100');
    fleet.edit(() => {
      fleet.more = { paused: true };
    });
    fleet.decide({ verb: 'promote' });
    expect(fleet.phases).toEqual(['pilot Succeeded 100', 'second Pending 0', 'rest Pending 0']);
    expect(fleet.status?.weights).toMatchObject({ canary: 0, stable: 100 });
  });

  it('go on where the next group was, when one in front of it had to start again', () => {
    const fleet = world({ successAction: 'Pause', errorAction: 'Pause' }).settle();
    fleet.decide({ verb: 'promote' });
    fleet.settle();
    fleet.decide({ verb: 'promote' });
    fleet.settle();
    expect(fleet.phases).toEqual(['pilot Succeeded 100', 'second Progressing 20', 'rest Pending 0']);
    const [pilot = ''] = fleet.having(100);
    fleet.behave('Refuses', pilot).settle();
    expect(fleet.phases[0]).toBe('pilot Failed 100');
    fleet.behave('Good', pilot).decide({ verb: 'retry' });
    fleet.settle();
    fleet.decide({ verb: 'promote' });
    fleet.settle();
    expect(fleet.phases.slice(0, 2)).toEqual(['pilot Paused 100', 'second Progressing 20']);
    fleet.decide({ verb: 'promote' });
    fleet.settle();
    expect(fleet.phases.slice(0, 2)).toEqual(['pilot Succeeded 100', 'second Progressing 20']);
  });

  it('go on when as many serve the canary as successThreshold asks for', () => {
    const fleet = new GroupWorld([{ name: 'most', limit: { count: 4 }, successThreshold: '75%' }], []).join(
      ...names,
    );
    fleet.begin().decide();
    const [first = '', second = ''] = fleet.having();
    fleet.behave('Slow', first, second).settle();
    expect(fleet.phases[0]).toBe('most Progressing 0');
    expect(fleet.status?.message).toContain('2 of 4 runtimes of group most are ready; not');
    fleet.behave('Good', second).settle();
    expect(fleet.status).toMatchObject({ phase: 'Healthy', stable: { adapter: 'v2' } });
  });

  it('do not count what somebody held by hand', () => {
    const fleet = new GroupWorld([{ name: 'all' }], []).join(...names).begin();
    fleet.behave('ByHand', 'a').settle();
    expect(fleet.status).toMatchObject({ phase: 'Healthy', stable: { adapter: 'v2' } });
  });

  it('let so many runtimes load at a time as maxConcurrency says', () => {
    const fleet = new GroupWorld([{ name: 'all', maxConcurrency: { count: 2 } }], []).join(...names).begin();
    fleet.decide();
    const seen = [fleet.having().length];
    for (let i = 0; i < 3; i++) {
      fleet.follow().decide();
      seen.push(fleet.having().length);
    }
    expect(seen).toEqual([2, 4, 6, 6]);
    expect(fleet.settle().status?.phase).toBe('Healthy');
  });

  it('begin again at the first when they are edited, with the same seed; the limits of one apply at once', () => {
    const fleet = world().settle();
    const before = fleet.status?.canary;
    fleet.edit(() => {
      fleet.groups = waves({ bakeTime: '1h', maxFailures: { count: 3 } });
    });
    fleet.decide();
    expect(fleet.phases[0]).toBe('pilot Progressing 20');
    fleet.edit(() => {
      fleet.groups = [{ name: 'pilot', limit: { count: 3 } }];
    });
    const { events } = fleet.decide();
    expect(events[0]).toMatchObject({
      reason: 'RolloutRestarted',
      message: expect.stringContaining('groups'),
    });
    expect(fleet.phases).toEqual(['pilot Progressing 0', 'rest Pending 0']);
    expect(fleet.status?.canary).toEqual(before);
    fleet.edit(() => {
      fleet.groups = undefined;
    });
    fleet.decide();
    expect([fleet.status?.groups, fleet.status?.weights.canary]).toEqual([undefined, 0]);
  });

  it('begin when they are added to a canary that is under way', () => {
    const fleet = new GroupWorld(undefined, manual).join(...names).begin();
    fleet.decide();
    fleet.edit(() => {
      fleet.groups = waves();
    });
    fleet.settle();
    expect(fleet.phases).toEqual(['pilot Progressing 20', 'second Pending 0', 'rest Pending 0']);
  });
});

describe('a group whose runtimes fail', () => {
  it.each([['Refuses'], ['Trips']] as const)('gives the canary up everywhere: %s', (how) => {
    const fleet = world()
      .behave(how, ...names)
      .settle();
    expect(fleet.status).toMatchObject({
      phase: 'Degraded',
      abort: { reason: expect.stringMatching(/^1 of 1 runtimes of group pilot failed: [a-f] \(/) },
    });
    expect(fleet.phases).toEqual(['pilot RolledBack 0', 'second Pending 0', 'rest Pending 0']);
    expect(fleet.having()).toEqual([]);
    fleet.behave('Good', ...names).decide({ verb: 'retry' });
    expect(fleet.settle().phases[0]).toBe('pilot Progressing 20');
  });

  it('goes on with as many failures as it may have', () => {
    const groups = [{ name: 'half', limit: { percentage: '50%' }, maxFailures: { percentage: '34%' } }];
    const fleet = new GroupWorld(groups, []).join(...names).begin();
    fleet.decide();
    const [first = '', second = ''] = fleet.having();
    fleet.behave('Refuses', first).settle();
    expect(fleet.status?.groups).toBeUndefined();
    const again = new GroupWorld(groups, []).join(...names).begin();
    again.decide();
    again.behave('Refuses', first, second).settle();
    expect(again.status?.abort?.reason).toContain('2 of 3 runtimes of group half failed');
  });

  it('stays where it is on Pause, until somebody promotes it all the same', () => {
    const fleet = world({ errorAction: 'Pause' }).settle();
    const [pilot = ''] = fleet.having();
    fleet.behave('Trips', pilot).settle();
    expect(fleet.phases[0]).toBe('pilot Failed 20');
    expect(fleet.status).toMatchObject({ phase: 'Paused', weights: { canary: 20 } });
    expect(fleet.decide({ verb: 'promote' }).events[0]?.reason).toBe('StepPromoted');
    expect(fleet.settle().phases[0]).toBe('pilot Progressing 20');
  });

  it('starts again with a new attempt on retry', () => {
    const fleet = world({ errorAction: 'Pause' }).settle();
    const [pilot = ''] = fleet.having();
    fleet.behave('Trips', pilot).settle();
    fleet.behave('Good', pilot).decide({ verb: 'retry' });
    expect(fleet.status?.canary?.attempt).toBe(2);
    expect(fleet.settle().phases[0]).toBe('pilot Progressing 20');
  });

  it('goes back alone on RollbackGroup: the groups before it keep the canary', () => {
    const fleet = world({ errorAction: 'RollbackGroup' }, []);
    fleet.decide();
    const [pilot = ''] = fleet.having();
    fleet.behave('Refuses', ...names.filter((name) => name !== pilot)).settle();
    expect(fleet.phases).toEqual(['pilot Succeeded 100', 'second RolledBack 0', 'rest Pending 0']);
    expect(fleet.having()).toEqual([pilot]);
    expect(fleet.status).toMatchObject({ phase: 'Paused', weights: { canary: 0 } });
    expect(fleet.decide({ verb: 'promote' }).status.lastRefusal).toContain('retry starts it again');
    fleet.behave('Good', ...names).decide({ verb: 'retry' });
    expect(fleet.settle().status).toMatchObject({ phase: 'Healthy', stable: { adapter: 'v2' } });
  });

  it('stops the rollout also when it had succeeded before', () => {
    const fleet = world({ errorAction: 'RollbackGroup' }).settle();
    const [pilot = ''] = fleet.having();
    fleet.decide({ verb: 'promote' });
    fleet.settle().behave('Trips', pilot).settle();
    expect(fleet.phases).toEqual(['pilot RolledBack 0', 'second Progressing 20', 'rest Pending 0']);
    expect(fleet.status).toMatchObject({ phase: 'Paused', weights: { canary: 0 } });
    fleet.behave('Good', pilot).decide({ verb: 'retry' });
    fleet.settle().decide({ verb: 'promote' });
    // The second group goes on at its own step.
    expect(fleet.settle().phases).toEqual(['pilot Succeeded 100', 'second Progressing 20', 'rest Pending 0']);
    expect(fleet.status).toMatchObject({ weights: { canary: 20 }, step: { index: 1 } });
  });

  it('pauses while more are unavailable than may be', () => {
    const fleet = new GroupWorld([{ name: 'all', maxUnavailable: { count: 1 } }], manual)
      .join(...names)
      .begin();
    fleet.settle().leave('a').decide();
    expect(fleet.status?.phase).toBe('Progressing');
    fleet.node('b').isServing = false;
    fleet.decide();
    expect(fleet.status).toMatchObject({
      phase: 'Paused',
      message: 'group all: 2 of 6 runtimes are not available',
    });
    fleet.back('a').settle();
    expect(fleet.status?.message).toContain('waits until somebody promotes');
  });
});

describe('requests by hand, in groups', () => {
  it('abort takes the canary from everybody in one decision', () => {
    const fleet = world().settle();
    fleet.decide({ verb: 'promote' });
    fleet.settle().decide({ verb: 'abort' });
    expect(fleet.having()).toEqual([]);
    expect(fleet.status?.groups?.every(({ weight }) => weight === 0)).toBe(true);
  });

  it('promote-full opens every group, and ends when all are ready', () => {
    const fleet = world().settle();
    fleet.decide({ verb: 'promote-full' });
    expect(fleet.having()).toEqual(names);
    expect(fleet.status).toMatchObject({ stable: { adapter: 'v1' }, weights: { canary: 20 } });
    expect(fleet.follow().decide().status).toMatchObject({
      stable: { adapter: 'v2' },
      completionStatus: 'FastPromoted',
    });
  });

  it('retry after a failure of all groups at once starts with the first again, and ends', () => {
    const fleet = new GroupWorld([{ name: 'all', errorAction: 'Pause' }], []).join(...names).begin();
    fleet.decide();
    fleet.decide({ verb: 'promote-full' });
    fleet.behave('Trips', 'a').settle();
    expect(fleet.phases).toEqual(['all Failed 0', 'rest Pending 0']);
    fleet.behave('Good', 'a').decide({ verb: 'retry' });
    expect(fleet.settle().status).toMatchObject({ phase: 'Healthy', stable: { adapter: 'v2' } });
  });

  it('pausing by the spec holds groups where they are', () => {
    const fleet = world({}, []);
    fleet.more = { paused: true };
    fleet.settle();
    expect(fleet.having()).toEqual([]);
    fleet.more = {};
    expect(fleet.settle().status?.phase).toBe('Healthy');
  });
});

describe('the deadline of a group', () => {
  it('is its own, and degrades the rollout without giving the canary up', () => {
    const fleet = world({ progressDeadline: '2m' }, []);
    fleet.behave('Slow', ...names).settle();
    expect(fleet.decide({ elapsedMs: 2 * minute - 1 }).status.phase).toBe('Progressing');
    expect(fleet.decide({ elapsedMs: 1 }).status).toMatchObject({
      phase: 'Degraded',
      message: expect.stringMatching(/^no progress for 2m: group pilot: waits until v2 is Resident/),
    });
    fleet.behave('Good', ...names).settle();
    expect(fleet.status?.phase).toBe('Healthy');
  });

  it('does not keep a late group from giving a runtime up in time that went offline', () => {
    const fleet = new GroupWorld([{ name: 'all', progressDeadline: '2m' }], []).join('a', 'b', 'c').begin();
    fleet.behave('Slow', ...fleet.nodes.keys()).settle();
    fleet.decide({ elapsedMs: minute });
    fleet.leave('b', 'c').decide({ elapsedMs: minute });
    expect(fleet.decide()).toMatchObject({ requeueAfterMs: 30_000, status: { phase: 'Degraded' } });
    expect(fleet.decide({ elapsedMs: 2 * minute }).status.abort?.reason).toMatch(/^2 of 3 runtimes/);
  });
});
