import { describe, expect, it } from 'vitest';
import { conditionOf } from '../api/condition.ts';
import { kstatusOf } from '../api/kstatus.fixture.ts';
import { fakeDigest } from '../api/names.fixture.ts';
import type { Step } from '../api/rollout.ts';
import { rolloutStatusSchema } from '../api/rollout-status.ts';
import { conditionReasons, eventReasons } from './reasons.ts';
import { seedOf } from './splitter.ts';
import { condition, DecisionWorld, minute, reasons, timed, underWay } from './world.fixture.ts';

const manual: Step[] = [{ setWeight: 10 }, { pause: {} }, { setWeight: 50 }, { pause: {} }];

describe('the first adapter', () => {
  it('is awaited with a message that says what for, then becomes stable without steps', () => {
    const world = new DecisionWorld(timed);
    expect(world.decide().status).toMatchObject({
      phase: 'Progressing',
      message: 'waits for the Adapter v1, which does not exist yet',
      weights: { canary: 0, stable: 100 },
    });
    expect(condition(world.decide().status, 'Available')).toMatchObject({
      status: 'False',
      reason: 'NoStable',
    });
    world.adapter('v1', { digest: undefined, state: 'Pending' });
    expect(world.decide().status.message).toBe('waits for the digest of v1');
    world.adapter('v1', { digest: fakeDigest('1'), reason: 'Fetching', message: '40 % of 5 MB' });
    expect(world.decide().status.message).toBe('waits until v1 is Resident (Fetching: 40 % of 5 MB)');
    world.adapter('v1', { state: 'Resident' });
    const { status, events } = world.decide();
    expect(status).toMatchObject({
      phase: 'Healthy',
      stable: { adapter: 'v1', uid: 'uid-v1', digest: fakeDigest('1') },
      completionStatus: 'Promoted',
      revision: 4,
    });
    expect(status.canary).toBeUndefined();
    expect(status.step).toBeUndefined();
    expect(events.map((e) => e.reason)).toEqual(['Promoted']);
    expect(condition(status, 'Available')?.status).toBe('True');
    expect(condition(status, 'Ready')?.status).toBe('True');
  });

  it('degrades with the reason while it is refused, and heals when it is Resident after all', () => {
    const world = new DecisionWorld(timed).adapter('v1', {
      state: 'Failed',
      reason: 'NAN',
      message: 'layer 3 has NaN',
    });
    const { status, events } = world.decide();
    expect(status).toMatchObject({ phase: 'Degraded', message: 'v1 cannot serve: NAN: layer 3 has NaN' });
    expect(events.map((e) => e.reason)).toEqual(['AdapterFailed']);
    expect(reasons(world.decide())).toEqual([]);
    expect(world.adapter('v1', { state: 'Resident' }).decide().status.phase).toBe('Healthy');
  });

  it('waits while spec.paused', () => {
    const world = new DecisionWorld(timed).adapter('v1').edit({ paused: true });
    expect(world.decide().status).toMatchObject({ phase: 'Paused' });
    expect(world.status?.stable).toBeUndefined();
    expect(world.edit({ paused: false }).decide().status.phase).toBe('Healthy');
  });
});

describe('steps', () => {
  it('start only when the canary is Resident; it is bound as soon as its digest is known, at weight 0', () => {
    const world = new DecisionWorld(timed).adapter('v1');
    world.decide();
    world.adapter('v2', { state: 'Pending', digest: undefined }).edit({ adapter: 'v2' });
    expect(world.decide().status.canary).toBeUndefined();
    world.adapter('v2', { digest: fakeDigest('2') });
    const bound = world.decide({ elapsedMs: 10 * minute }).status;
    expect(bound.canary).toEqual({
      adapter: 'v2',
      uid: 'uid-v2',
      digest: fakeDigest('2'),
      seed: seedOf('team-a', 'sql', fakeDigest('2')),
      attempt: 1,
    });
    expect(bound).toMatchObject({
      phase: 'Progressing',
      weights: { canary: 0, stable: 100 },
      step: { index: 0, total: 4 },
    });
    const started = world.adapter('v2', { state: 'Resident' }).decide({ elapsedMs: 10 * minute });
    expect(started.status).toMatchObject({
      phase: 'Paused',
      message: 'step 2/4 pauses for 1m, canary at 10 %',
      weights: { canary: 10, stable: 90 },
      step: { index: 1, elapsedMs: 0 },
    });
    expect(started.requeueAfterMs).toBe(30_000);
  });

  it('go on when the monotonic time of a pause has passed, and end with the canary as stable', () => {
    const world = underWay(timed);
    expect(world.decide({ elapsedMs: 59_000 })).toMatchObject({
      requeueAfterMs: 1_000,
      status: { weights: { canary: 10 } },
    });
    const second = world.decide({ elapsedMs: 1_000 });
    expect(second.status).toMatchObject({
      weights: { canary: 50, stable: 50 },
      step: { index: 3, elapsedMs: 0 },
    });
    world.decide({ elapsedMs: minute });
    const { status } = world.decide({ elapsedMs: minute });
    expect(status).toMatchObject({
      phase: 'Healthy',
      stable: { adapter: 'v2' },
      history: [{ adapter: 'v1' }],
      weights: { canary: 0, stable: 100 },
      completionStatus: 'Promoted',
    });
    expect(status.canary).toBeUndefined();
  });

  it('keep the time of a pause across a restart, and do not count the time while down', () => {
    const world = underWay(timed);
    world.decide({ elapsedMs: 50_000 });
    world.status = rolloutStatusSchema.parse(JSON.parse(JSON.stringify(world.status)));
    world.now += 3_600_000;
    expect(world.decide({ elapsedMs: 0 })).toMatchObject({
      requeueAfterMs: 10_000,
      status: { weights: { canary: 10 } },
    });
  });

  it('write down the progress of a pause without a new revision', () => {
    const world = underWay(timed);
    const before = world.status;
    const { status } = world.decide({ elapsedMs: 5_000 });
    expect(status.revision).toBe(before?.revision);
    expect(status.step?.elapsedMs).toBe(5_000);
  });

  it('stand still while the canary is not Resident, and the time of the pause with them', () => {
    const world = underWay(timed);
    world.decide({ elapsedMs: 20_000 });
    world.adapter('v2', { state: 'Pending', reason: 'Loading' });
    expect(world.decide({ elapsedMs: 1_000 }).status).toMatchObject({
      phase: 'Progressing',
      weights: { canary: 10 },
    });
    world.decide({ elapsedMs: 10 * minute });
    world.adapter('v2', { state: 'Resident' });
    const { status } = world.decide({ elapsedMs: 10 * minute });
    expect(status).toMatchObject({ phase: 'Paused', step: { index: 1, elapsedMs: 20_000 } });
  });

  it('wait for promote where a pause has no duration; each request acts once', () => {
    const world = underWay(manual);
    expect(world.decide({ elapsedMs: 1000 * minute })).toMatchObject({
      status: { phase: 'Paused', step: { index: 1 } },
    });
    expect(world.decide().requeueAfterMs).toBeUndefined();
    const promoted = world.decide({ verb: 'promote', id: 'a' });
    expect(promoted.status).toMatchObject({
      weights: { canary: 50 },
      step: { index: 3 },
      lastHandledRequest: 'promote@a',
    });
    expect(world.decide({ verb: 'promote', id: 'a' }).status).toBe(promoted.status);
    expect(world.decide({ verb: 'promote', id: 'b' }).status).toMatchObject({
      phase: 'Healthy',
      stable: { adapter: 'v2' },
    });
  });

  it('end a pause with a duration early on promote', () => {
    const world = underWay(timed);
    expect(world.decide({ verb: 'promote' }).status).toMatchObject({
      weights: { canary: 50 },
      step: { index: 3 },
    });
  });

  it('remember a promote that cannot act yet', () => {
    const world = underWay(manual);
    world.edit({ paused: true }).decide();
    expect(world.decide({ verb: 'promote' }).status).toMatchObject({
      phase: 'Paused',
      step: { index: 1, promoted: true },
    });
    expect(world.edit({ paused: false }).decide().status).toMatchObject({
      step: { index: 3, promoted: false },
    });
  });

  it('freeze at their weight while spec.paused, without counting time', () => {
    const world = underWay(timed);
    world.edit({ paused: true }).decide({ elapsedMs: 10_000 });
    const frozen = world.decide({ elapsedMs: 100 * minute }).status;
    expect(frozen).toMatchObject({ phase: 'Paused', weights: { canary: 10 }, step: { index: 1 } });
    expect(condition(frozen, 'Paused')).toMatchObject({ status: 'True', reason: 'PausedBySpec' });
    expect(world.edit({ paused: false }).decide({ elapsedMs: 100 * minute }).status.step?.index).toBe(1);
  });

  it('start again at the first one when they are edited, with the same seed', () => {
    const world = underWay(timed);
    world.decide({ elapsedMs: minute });
    const seed = world.status?.canary?.seed;
    const { status, events } = world
      .edit({ steps: [{ pause: { duration: '1m' } }, { setWeight: 20 }, { pause: {} }] })
      .decide({
        elapsedMs: 10 * minute,
      });
    expect(status).toMatchObject({
      weights: { canary: 0 },
      step: { index: 0, total: 3, elapsedMs: 0 },
      canary: { seed },
    });
    expect(events.map((e) => e.reason)).toEqual(['RolloutRestarted']);
  });

  it('switch at once when there are none', () => {
    const { status } = underWay([]);
    expect(status).toMatchObject({
      phase: 'Healthy',
      stable: { adapter: 'v2' },
      history: [{ adapter: 'v1' }],
    });
    expect(conditionOf(status?.conditions, 'Healthy')?.status).toBe('True');
  });
});

describe('room in RAM', () => {
  it('is told by the condition Schedulable, with the numbers, while the canary waits at weight 0', () => {
    const world = new DecisionWorld([{ setWeight: 10 }, { pause: {} }]).adapter('v1');
    world.decide();
    world.adapter('v2', { state: 'Pending' }).edit({ adapter: 'v2' });
    world.room = { fits: false, message: 'v1 30 + v2 50 need 80 bytes, the budget is 60 bytes' };
    const { status } = world.decide();
    expect(status.weights.canary).toBe(0);
    expect(status.conditions.find((c) => c.type === 'Schedulable')).toMatchObject({
      status: 'False',
      reason: 'NoRoom',
      message: 'v1 30 + v2 50 need 80 bytes, the budget is 60 bytes',
    });
    world.room = undefined;
    expect(world.decide().status.conditions.find((c) => c.type === 'Schedulable')?.status).toBe('True');
  });
});

describe('a settled rollout', () => {
  it('refuses verbs that need a canary, and unknown ones, once and with the reason', () => {
    const world = new DecisionWorld([]).adapter('v1');
    world.decide();
    for (const verb of ['promote', 'abort', 'rollback', 'retry', 'explode']) {
      expect(reasons(world.decide({ verb, id: 'x' }))).toEqual(['RequestRefused']);
      expect(reasons(world.decide({ verb, id: 'x' }))).toEqual([]);
      expect(world.status).toMatchObject({ phase: 'Healthy', lastHandledRequest: `${verb}@x` });
    }
  });

  it('is healthy while stable is on disk only, and degraded while stable is refused', () => {
    const world = new DecisionWorld([]).adapter('v1');
    const { revision } = world.decide().status;
    expect(world.adapter('v1', { state: 'Pending' }).decide().status).toMatchObject({
      phase: 'Healthy',
      revision,
    });
    world.adapter('v1', { state: 'Failed', reason: 'CORRUPT', message: 'crc of tensor 3' });
    expect(world.decide().status).toMatchObject({
      phase: 'Degraded',
      message: 'v1 cannot serve: CORRUPT: crc of tensor 3',
    });
    expect(world.adapter('v1', { state: 'Resident' }).decide().status.phase).toBe('Healthy');
  });

  it('has a new revision when something is decided, not when a message is another', () => {
    const world = new DecisionWorld([]).adapter('v1', {
      state: 'Pending',
      reason: 'Fetching',
      message: '40 %',
    });
    const { revision, message } = world.decide().status;
    const fetched = world.adapter('v1', { message: '80 %' }).decide().status;
    expect(fetched.message).not.toBe(message);
    expect(condition(fetched, 'Ready')?.message).toBe(fetched.message);
    expect(fetched.revision).toBe(revision);
    world.adapter('v1', { state: 'Failed', reason: 'NAN', message: 'on node a' });
    expect(world.decide()).toMatchObject({
      status: { revision: revision + 1 },
      events: [{ reason: 'AdapterFailed' }],
    });
    world.adapter('v1', { message: 'on node a, node b' });
    expect(world.decide()).toMatchObject({
      status: { revision: revision + 1, message: 'v1 cannot serve: NAN: on node a, node b' },
      events: [],
    });
  });

  it('is read by kstatus as done, on its way or stuck', () => {
    const world = new DecisionWorld(manual).adapter('v1', { state: 'Pending' });
    const read = (options = {}) => kstatusOf(world.generation, world.decide(options).status);
    expect(read()).toBe('InProgress');
    world.adapter('v1', { state: 'Resident' });
    expect(read()).toBe('Current');
    world.adapter('v2').edit({ adapter: 'v2' });
    expect([read(), world.status?.phase]).toEqual(['InProgress', 'Paused']);
    expect(read({ verb: 'abort' })).toBe('Failed');
    expect(read({ verb: 'retry' })).toBe('InProgress');
  });

  it('has a condition Healthy that says the same as the phase and as Ready, for kubectl wait', () => {
    const world = new DecisionWorld(manual).adapter('v1', { state: 'Pending' });
    const read = (options = {}) => {
      const { phase, conditions } = world.decide(options).status;
      return [phase, conditionOf(conditions, 'Healthy')?.status, conditionOf(conditions, 'Ready')?.status];
    };
    expect(read()).toEqual(['Progressing', 'False', 'False']);
    expect(read({ elapsedMs: 10 * minute })).toEqual(['Degraded', 'False', 'False']);
    world.adapter('v1', { state: 'Resident' });
    expect(read()).toEqual(['Healthy', 'True', 'True']);
    world.adapter('v2').edit({ adapter: 'v2' });
    expect(read()).toEqual(['Paused', 'False', 'False']);
    expect(read({ verb: 'abort' })).toEqual(['Degraded', 'False', 'False']);
    world.edit({ adapter: 'v1' });
    expect(read()).toEqual(['Healthy', 'True', 'True']);
  });

  it('say that stable fails somewhere, for as long as it does', () => {
    const world = new DecisionWorld(manual).adapter('v1');
    world.decide();
    const read = () => {
      const { phase, message, conditions } = world.decide().status;
      return [phase, message, conditionOf(conditions, 'Available')?.status];
    };
    world.stableFails = 'v1 fails on a: 5 errors';
    expect(read()).toEqual(['Degraded', 'v1 fails on a: 5 errors', 'False']);
    world.stableFails = undefined;
    expect(read()).toEqual(['Healthy', 'v1 serves', 'True']);
  });

  it('changes lastTransitionTime of a condition with its status only', () => {
    const world = underWay(manual);
    const paused = condition(world.decide().status, 'Paused')?.lastTransitionTime;
    world.now += minute;
    expect(condition(world.decide({ verb: 'promote' }).status, 'Paused')?.lastTransitionTime).toBe(paused);
    expect(condition(world.decide({ verb: 'promote' }).status, 'Paused')?.lastTransitionTime).not.toBe(
      paused,
    );
  });
});

it('explains each reason in one sentence', () => {
  for (const sentence of [...Object.values(conditionReasons), ...Object.values(eventReasons)]) {
    expect(sentence).toMatch(/^[A-Z].*\.$/);
  }
});
