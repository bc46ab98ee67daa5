import { describe, expect, it } from 'vitest';
import { fakeDigest } from '../api/names.fixture.ts';
import { rolloutStatusSchema } from '../api/rollout-status.ts';
import { condition, DecisionWorld, minute, reasons, timed, underWay } from './world.fixture.ts';

describe('going back', () => {
  it('drops the canary in one decision when the spec names stable again, also while paused', () => {
    const world = underWay(timed).edit({ paused: true });
    world.decide();
    const { status, events } = world.edit({ adapter: 'v1' }).decide();
    expect(status).toMatchObject({
      phase: 'Healthy',
      stable: { adapter: 'v1' },
      weights: { canary: 0, stable: 100 },
      completionStatus: 'RolledBack',
      history: [],
    });
    expect(status.canary).toBeUndefined();
    expect(events.map((e) => e.reason)).toEqual(['RolledBack']);
  });

  it('does not wait for the digest of stable, nor for its object', () => {
    const world = underWay(timed);
    world.adapter('v1', { digest: undefined }).edit({ adapter: 'v1' });
    expect(world.decide().status.completionStatus).toBe('RolledBack');
    const other = underWay(timed);
    other.adapters.delete('v1');
    const { status } = other.edit({ adapter: 'v1' }).decide();
    expect(status).toMatchObject({
      weights: { canary: 0 },
      completionStatus: 'RolledBack',
      phase: 'Degraded',
    });
    expect(condition(status, 'Ready')?.reason).toBe('AdapterRemoved');
  });

  it('skips the steps for a recent stable as soon as it is Resident', () => {
    const world = underWay([]);
    world.adapter('v1', { state: 'Pending' }).edit({ adapter: 'v1', steps: timed });
    expect(world.decide().status).toMatchObject({
      canary: { adapter: 'v1' },
      weights: { canary: 0 },
      phase: 'Progressing',
    });
    const { status } = world.adapter('v1', { state: 'Resident' }).decide();
    expect(status).toMatchObject({
      stable: { adapter: 'v1' },
      history: [{ adapter: 'v2' }],
      completionStatus: 'FastRolledBack',
      phase: 'Healthy',
    });
  });

  it('takes the steps for a stable outside the window', () => {
    const world = underWay([]);
    world.edit({ adapter: 'v3' }).decide();
    expect(world.status?.history.map((h) => h.adapter)).toEqual(['v2', 'v1']);
    expect(world.edit({ adapter: 'v1', steps: timed }).decide().status).toMatchObject({
      weights: { canary: 10 },
    });
    expect(underWay([]).edit({ adapter: 'v1', steps: timed, revisions: 0 }).decide().status.phase).toBe(
      'Paused',
    );
  });

  it('keeps at most revisionHistoryLimit former stables, newest first and each once', () => {
    const world = new DecisionWorld([]).edit({ revisions: 0, limit: 2 });
    for (const name of ['v1', 'v2', 'v3', 'v4', 'v3', 'v5'])
      world.adapter(name).edit({ adapter: name }).decide();
    expect(world.status?.stable?.adapter).toBe('v5');
    expect(world.status?.history.map((h) => h.adapter)).toEqual(['v3', 'v4']);
  });
});

describe('another adapter while a canary is under way', () => {
  it('takes its place at step 0 and leaves stable alone', () => {
    const world = underWay(timed);
    world.decide({ elapsedMs: minute });
    world.adapter('v3', { state: 'Pending' });
    const { status, events } = world.edit({ adapter: 'v3' }).decide({ elapsedMs: minute });
    expect(status).toMatchObject({
      stable: { adapter: 'v1' },
      canary: { adapter: 'v3' },
      weights: { canary: 0 },
      step: { index: 0 },
      completionStatus: 'Superseded',
    });
    expect(events.map((e) => e.reason)).toEqual(['Superseded', 'RolloutStarted']);
  });

  it('does not inherit the time of the pause that was running', () => {
    const world = underWay([{ pause: { duration: '1m' } }, { setWeight: 10 }, { pause: {} }]);
    const { status } = world.edit({ adapter: 'v3' }).decide({ elapsedMs: minute });
    expect(status).toMatchObject({
      canary: { adapter: 'v3' },
      weights: { canary: 0 },
      step: { index: 0, elapsedMs: 0 },
    });
  });

  it('freezes the canary until its digest is known', () => {
    const world = underWay(timed).adapter('v3', { digest: undefined, state: 'Pending' });
    world.edit({ adapter: 'v3' }).decide();
    const { status } = world.decide({ elapsedMs: 9 * minute });
    expect(status).toMatchObject({
      canary: { adapter: 'v2' },
      weights: { canary: 10 },
      step: { index: 1 },
      phase: 'Progressing',
    });
    expect(world.decide({ verb: 'abort' }).status).toMatchObject({
      weights: { canary: 0 },
      phase: 'Degraded',
    });
  });

  it('is what a deleted and recreated Adapter is', () => {
    const world = underWay(timed).adapter('v2', { uid: 'uid-v2-again' });
    expect(reasons(world.decide())).toEqual(['Superseded', 'RolloutStarted', 'WeightSet']);
    expect(world.status?.canary?.uid).toBe('uid-v2-again');
  });
});

describe('rolling back by hand what is settled', () => {
  it('makes the former stable serve in one decision, and stays there until a retry', () => {
    const world = new DecisionWorld([{ setWeight: 10 }, { pause: {} }]).adapter('v1').adapter('v2');
    world.decide();
    world.edit({ adapter: 'v2' }).decide();
    world.decide({ verb: 'promote' });
    expect(world.status).toMatchObject({ phase: 'Healthy', stable: { adapter: 'v2' } });
    const { status } = world.decide({ verb: 'rollback' });
    expect(status).toMatchObject({
      phase: 'Degraded',
      stable: { adapter: 'v1' },
      canary: { adapter: 'v2' },
      weights: { canary: 0, stable: 100 },
      abort: { reason: 'rolled back by hand' },
      history: [],
    });
    expect(world.decide().status).toBe(status);
    expect(world.decide({ verb: 'retry' }).status).toMatchObject({
      phase: 'Paused',
      weights: { canary: 10 },
    });
  });

  it('is refused when there is no former stable', () => {
    const world = new DecisionWorld([]).adapter('v1');
    world.decide();
    expect(reasons(world.decide({ verb: 'rollback' }))).toEqual(['RequestRefused']);
  });

  it('is refused when the former stable would not serve, which is said', () => {
    const world = underWay([]);
    world.whyNotBack = ({ adapter }) => (adapter === 'v1' ? 'it is not signed' : undefined);
    const { status } = world.decide({ verb: 'rollback' });
    expect(status).toMatchObject({
      phase: 'Healthy',
      stable: { adapter: 'v2' },
      history: [{ adapter: 'v1' }],
    });
    expect(status.lastRefusal).toBe('rollback: v1 would not serve: it is not signed');
    world.whyNotBack = () => undefined;
    expect(world.decide({ verb: 'rollback' }).status.stable?.adapter).toBe('v1');
  });

  it('asks for nothing more when the canary was given up already', () => {
    const world = underWay(timed);
    world.decide({ verb: 'abort' });
    expect(reasons(world.decide({ verb: 'rollback' }))).toEqual([]);
  });
});

describe('abort', () => {
  const aborted = {
    phase: 'Degraded',
    weights: { canary: 0, stable: 100 },
    completionStatus: 'Aborted',
    stable: { adapter: 'v1' },
  };

  it.each([
    ['by hand', (w: DecisionWorld) => w.decide({ verb: 'abort' }), 'aborted by hand'],
    [
      'by hand while paused',
      (w: DecisionWorld) => w.edit({ paused: true }).decide({ verb: 'abort' }),
      'aborted by hand',
    ],
    [
      'by rollback, although the node already holds the canary',
      (w: DecisionWorld) => w.hold('v2', 'held here by hand').decide({ verb: 'rollback' }),
      'rolled back by hand',
    ],
    [
      'when the node holds the canary',
      (w: DecisionWorld) => w.hold('v2', '5 consecutive errors').decide(),
      '5 consecutive errors',
    ],
    [
      'when the canary is refused',
      (w: DecisionWorld) =>
        w.adapter('v2', { state: 'Failed', reason: 'SMOKE', message: 'test select' }).decide(),
      'SMOKE: test select',
    ],
    [
      'when the canary is for another base model',
      (w: DecisionWorld) => w.adapter('v2', { baseModel: 'other' }).decide(),
      'v2 is for the base model other, stable for tiny',
    ],
  ])('%s takes all traffic from the canary in one decision', (_, act, reason) => {
    const world = underWay(timed);
    const { status, events } = act(world);
    expect(status).toMatchObject({ ...aborted, abort: { reason, uid: 'uid-v2', digest: fakeDigest('2') } });
    expect(events.map((e) => e.reason)).toEqual(['Aborted']);
    expect(world.decide({ elapsedMs: 100 * minute }).status).toMatchObject(aborted);
  });

  it('does not end because the facts, the steps or the weights change', () => {
    const world = underWay(timed);
    world.decide({ verb: 'abort' });
    world.edit({ steps: [{ setWeight: 100 }] }).decide();
    world.adapter('v2', { state: 'Pending' }).decide();
    world.adapter('v2', { state: 'Resident' });
    expect(world.decide({ verb: 'promote' })).toMatchObject({
      status: aborted,
      events: [{ reason: 'RequestRefused' }],
    });
    expect(world.status).toMatchObject(aborted);
  });

  it('ends when the spec names stable again', () => {
    const world = underWay(timed);
    world.decide({ verb: 'abort' });
    const { status } = world.edit({ adapter: 'v1' }).decide();
    expect(status).toMatchObject({ phase: 'Healthy', completionStatus: 'RolledBack' });
    expect(status.abort).toBeUndefined();
  });

  it('ends with another canary', () => {
    const world = underWay(timed);
    world.hold('v2').decide();
    const { status } = world.edit({ adapter: 'v3' }).decide();
    expect(status).toMatchObject({ canary: { adapter: 'v3' }, weights: { canary: 10 }, phase: 'Paused' });
    expect(status.abort).toBeUndefined();
  });

  it('ends with retry, which starts at the first step with the same seed', () => {
    const world = underWay(timed);
    world.decide({ elapsedMs: minute });
    const seed = world.status?.canary?.seed;
    world.decide({ verb: 'abort' });
    const { status } = world.decide({ verb: 'retry' });
    expect(status).toMatchObject({
      phase: 'Paused',
      weights: { canary: 10 },
      step: { index: 1, elapsedMs: 0 },
      canary: { seed },
    });
    expect(status.completionStatus).toBeUndefined();
  });

  it('happens again in the decision of a retry while the reason is still there', () => {
    const world = underWay([{ setWeight: 10 }, { pause: {} }]).adapter('v2', { state: 'Failed' });
    world.decide();
    expect(world.edit({ steps: [] }).decide({ verb: 'retry' }).status).toMatchObject(aborted);
  });

  it('ignores holds of other digests', () => {
    const world = underWay(timed);
    expect(world.hold('v3').decide().status.phase).toBe('Paused');
  });
});

describe('attempts', () => {
  const again = (world: DecisionWorld, ...events: ((w: DecisionWorld) => unknown)[]): DecisionWorld => {
    for (const event of events) event(world);
    return world;
  };
  const abort = (w: DecisionWorld) => w.decide({ verb: 'abort' });
  const back = (w: DecisionWorld) => w.edit({ adapter: 'v1' }).decide();
  const point = (w: DecisionWorld) => w.edit({ adapter: 'v2' }).decide();
  const other = (w: DecisionWorld) => w.edit({ adapter: 'v3' }).decide();
  const retry = (w: DecisionWorld) => w.decide({ verb: 'retry' });

  it.each([
    ['a retry', [abort, retry], 2],
    ['an abort, stable again and the same canary again', [abort, back, point], 2],
    ['stable again and the same canary again', [back, point], 2],
    ['another canary in between', [other, point], 3],
    ['a retry before it was bound again', [abort, retry, back, point], 3],
  ] as const)('a canary that starts after %s is a higher attempt than any before', (_, events, attempt) => {
    const world = again(underWay(timed).hold('v2'), ...events);
    expect(world.status).toMatchObject({ canary: { adapter: 'v2', attempt }, attempts: attempt });
    // What a node held back before, and may still report, is about an attempt that is over.
    expect(world.decide().status).toMatchObject({ phase: 'Paused', weights: { canary: 10 } });
    expect(world.hold('v2', 'errors again').decide().status).toMatchObject({
      phase: 'Degraded',
      abort: { reason: 'errors again' },
      weights: { canary: 0 },
    });
  });

  it('of a held canary that is retried in the decision in which its steps are gone is promoted at once', () => {
    const world = underWay(timed).hold('v2');
    expect(world.edit({ steps: [] }).decide().status).toMatchObject({ abort: {}, attempts: 1 });
    expect(world.edit({ steps: timed }).decide().status).toMatchObject({ abort: {}, attempts: 1 });
    expect(world.edit({ steps: [] }).decide({ verb: 'retry' }).status).toMatchObject({
      phase: 'Healthy',
      stable: { adapter: 'v2' },
      attempts: 2,
    });
  });

  it('of a stable that was rolled back and comes again is a higher one as well', () => {
    const world = underWay([]);
    world.decide({ verb: 'rollback' });
    expect(world.status).toMatchObject({ canary: { adapter: 'v2', attempt: 2 } });
    expect(world.decide({ verb: 'retry' }).status).toMatchObject({ stable: { adapter: 'v2' }, attempts: 3 });
  });

  it('go on from the canary of a status that was written without a count', () => {
    const world = underWay(timed);
    retry(again(world, abort));
    const { attempts: _, ...older } = world.status ?? {};
    world.status = rolloutStatusSchema.parse(older);
    expect(again(world, back).status).toMatchObject({ attempts: 2 });
  });
});
