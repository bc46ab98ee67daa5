import { describe, expect, it } from 'vitest';
import { kstatusOf } from '../api/kstatus.fixture.ts';
import { fakeDigest } from '../api/names.fixture.ts';
import { rolloutStatusSchema } from '../api/rollout-status.ts';
import { condition, DecisionWorld, minute, reasons, timed } from './world.fixture.ts';

/** v1 is stable; v2 is bound and not Resident yet. */
const awaited = (): DecisionWorld => {
  const world = new DecisionWorld(timed).adapter('v1');
  world.decide();
  world.adapter('v2', { state: 'Pending', reason: 'Fetching' }).edit({ adapter: 'v2' }).decide();
  return world;
};
const ready = (world: DecisionWorld, count: number, connected = 3): DecisionWorld =>
  world.adapter('v2', { runtimes: { ready: count, connected } });

describe('the progress deadline', () => {
  it('degrades a rollout that waits for too long, and says so once', () => {
    const world = awaited();
    expect(world.decide({ elapsedMs: 10 * minute - 1 }).status.phase).toBe('Progressing');
    const { status, events, requeueAfterMs } = world.decide({ elapsedMs: 1 });
    expect(status).toMatchObject({
      phase: 'Degraded',
      message: 'no progress for 10m: waits until v2 is Resident (Fetching)',
      stable: { adapter: 'v1' },
      canary: { adapter: 'v2' },
    });
    expect(status.abort).toBeUndefined();
    expect(condition(status, 'Progressing')).toMatchObject({
      status: 'False',
      reason: 'ProgressDeadlineExceeded',
    });
    expect(kstatusOf(world.generation, status)).toBe('Failed');
    expect(events.map(({ reason }) => reason)).toEqual(['ProgressDeadlineExceeded']);
    expect(requeueAfterMs).toBeUndefined();
    expect(world.decide({ elapsedMs: minute })).toMatchObject({
      status: { revision: status.revision },
      events: [],
    });
  });

  it('looks again in time, and writes the time down every 30 seconds without a new revision', () => {
    const world = awaited();
    const revision = world.status?.revision;
    expect(world.decide({ elapsedMs: 30_000 })).toMatchObject({
      requeueAfterMs: 30_000,
      status: { revision, progress: { reason: 'AwaitingResident', waitedMs: 30_000 } },
    });
    expect(world.decide({ elapsedMs: 9 * minute + 29_000 }).requeueAfterMs).toBe(1000);
  });

  it('does not hold the adapter up that comes after all', () => {
    const world = awaited();
    world.decide({ elapsedMs: 10 * minute });
    const { status } = world.adapter('v2', { state: 'Resident' }).decide();
    expect(status).toMatchObject({ phase: 'Paused', weights: { canary: 10 } });
    expect(status.progress).toBeUndefined();
  });

  it('gives the canary up where the spec says so, until a retry', () => {
    const world = awaited();
    world.edit({ abortOnDeadline: true }).decide();
    const { status, events } = world.decide({ elapsedMs: 10 * minute });
    expect(events.map(({ reason }) => reason)).toEqual(['Aborted']);
    expect(status).toMatchObject({
      phase: 'Degraded',
      completionStatus: 'Aborted',
      abort: { reason: 'no progress for 10m: waits until v2 is Resident (Fetching)', uid: 'uid-v2' },
    });
    expect(world.decide({ elapsedMs: minute }).status).toBe(status);
    expect(world.decide({ verb: 'retry' }).status).toMatchObject({
      phase: 'Progressing',
      progress: { waitedMs: 0 },
    });
  });

  it('takes the weight of a canary that stopped being ready in the middle, where the spec says so', () => {
    const world = new DecisionWorld(timed).adapter('v1').adapter('v2').edit({ abortOnDeadline: true });
    world.decide();
    world.edit({ adapter: 'v2' }).decide();
    world.adapter('v2', { state: 'Pending' }).decide();
    expect(world.status?.weights.canary).toBe(10);
    expect(world.decide({ elapsedMs: 10 * minute }).status).toMatchObject({
      weights: { canary: 0 },
      abort: {},
    });
  });

  it('has nothing to give up while the first adapter is awaited', () => {
    const world = new DecisionWorld(timed).edit({ abortOnDeadline: true });
    world.decide();
    expect(world.decide({ elapsedMs: 10 * minute }).status).toMatchObject({
      phase: 'Degraded',
      weights: { canary: 0 },
    });
    expect(world.adapter('v1').decide().status.phase).toBe('Healthy');
  });

  it('starts anew with every runtime that becomes ready, but not when one comes and goes', () => {
    const world = ready(awaited(), 0);
    world.decide({ elapsedMs: 9 * minute });
    expect(ready(world, 1).decide({ elapsedMs: minute }).status.progress).toMatchObject({
      waitedMs: 0,
      ready: 1,
    });
    for (const count of [0, 1, 0, 1]) ready(world, count).decide({ elapsedMs: 2 * minute });
    expect(world.status?.progress).toMatchObject({ waitedMs: 8 * minute, ready: 1 });
    expect(ready(world, 2).decide({ elapsedMs: minute }).status.progress).toMatchObject({
      waitedMs: 0,
      ready: 2,
    });
  });

  it('starts anew when it waits for something else', () => {
    const world = new DecisionWorld(timed).adapter('v1');
    world.decide();
    world.edit({ adapter: 'v2' }).decide();
    expect(world.decide({ elapsedMs: 10 * minute }).status).toMatchObject({ phase: 'Degraded' });
    world.adapter('v2', { digest: undefined, state: 'Pending' });
    expect(world.decide({ elapsedMs: minute }).status).toMatchObject({
      phase: 'Progressing',
      progress: { waitedMs: 0 },
    });
    world.adapter('v2', { digest: fakeDigest('2') });
    expect(world.decide({ elapsedMs: 9 * minute }).status.progress).toMatchObject({
      reason: 'AwaitingResident',
      waitedMs: 0,
    });
  });

  it('starts anew for another object of the same name', () => {
    const world = awaited();
    world.decide({ elapsedMs: 9 * minute });
    const { status } = world.adapter('v2', { uid: 'uid-v2-again' }).decide({ elapsedMs: minute });
    expect(status).toMatchObject({ phase: 'Progressing', progress: { waitedMs: 0 } });
  });

  it('stands still while no runtime is connected: those that are offline are waited for without end', () => {
    const world = ready(awaited(), 0, 0);
    expect(world.decide({ elapsedMs: 1000 * minute })).toMatchObject({ status: { phase: 'Progressing' } });
    expect(world.decide({ elapsedMs: 1000 * minute }).requeueAfterMs).toBeUndefined();
    ready(world, 0, 1).decide({ elapsedMs: 9 * minute });
    expect(world.decide({ elapsedMs: minute }).status.phase).toBe('Degraded');
  });

  it('does not count pauses, whether of a step or of the spec', () => {
    const world = awaited();
    world.decide({ elapsedMs: 9 * minute });
    world.adapter('v2', { state: 'Resident' }).decide();
    expect(world.decide({ elapsedMs: 59_000 }).status.phase).toBe('Paused');
    world.edit({ paused: true }).decide();
    expect(world.decide({ elapsedMs: 1000 * minute }).status.phase).toBe('Paused');
    world
      .adapter('v2', { state: 'Pending' })
      .edit({ paused: false })
      .decide({ elapsedMs: 1000 * minute });
    expect(world.status).toMatchObject({ phase: 'Progressing', progress: { waitedMs: 0 } });
  });

  it('allows a pause that is longer than itself', () => {
    const world = new DecisionWorld([{ setWeight: 10 }, { pause: { duration: '1h' } }])
      .adapter('v1')
      .adapter('v2');
    world.edit({ deadline: '1m' }).decide();
    world.edit({ adapter: 'v2' }).decide();
    expect(world.decide({ elapsedMs: 59 * minute }).status.phase).toBe('Paused');
    expect(world.decide({ elapsedMs: minute }).status).toMatchObject({ stable: { adapter: 'v2' } });
  });

  it('is kept across a restart, and does not count the time while down', () => {
    const world = awaited();
    world.decide({ elapsedMs: 9 * minute });
    world.status = rolloutStatusSchema.parse(JSON.parse(JSON.stringify(world.status)));
    expect(world.decide({ elapsedMs: 0 }).status.progress?.waitedMs).toBe(9 * minute);
    expect(reasons(world.decide({ elapsedMs: minute }))).toEqual(['ProgressDeadlineExceeded']);
  });

  it('is the one of the spec now, and an edit starts it anew', () => {
    const world = awaited();
    world.decide({ elapsedMs: 10 * minute });
    expect(world.edit({ deadline: '1h' }).decide().status).toMatchObject({ phase: 'Progressing' });
    expect(world.decide({ elapsedMs: 59 * minute }).status.phase).toBe('Progressing');
    expect(world.decide({ elapsedMs: minute }).status.phase).toBe('Degraded');
  });
});
