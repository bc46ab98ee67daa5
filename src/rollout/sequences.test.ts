import { describe, expect, it } from 'vitest';
import { DecisionWorld, minute, reasons, timed, underWay } from './world.fixture.ts';

describe('one rollout after the other', () => {
  it('goes from a bad adapter to another bad one: both are given up, and stable serves all along', () => {
    const world = underWay(timed);
    for (const name of ['v2', 'v3']) {
      world.adapter(name, { state: 'Pending' }).edit({ adapter: name }).decide();
      const { status, events } = world.adapter(name, { state: 'Failed', reason: 'NAN' }).decide();
      expect(events.map(({ reason }) => reason)).toEqual(['Aborted']);
      expect(status).toMatchObject({
        phase: 'Degraded',
        stable: { adapter: 'v1' },
        weights: { canary: 0, stable: 100 },
        abort: { uid: `uid-${name}` },
      });
    }
  });

  it('goes from a bad adapter to a good one, which then is stable', () => {
    const world = underWay(timed).adapter('v2', { state: 'Failed' });
    world.decide();
    world.edit({ adapter: 'v3' }).decide();
    world.decide({ elapsedMs: minute });
    expect(world.decide({ elapsedMs: 2 * minute }).status).toMatchObject({
      phase: 'Healthy',
      stable: { adapter: 'v3' },
      history: [{ adapter: 'v1' }],
    });
  });

  it('takes another adapter after blue-green was aborted, and waits for a person again', () => {
    const world = new DecisionWorld([]).adapter('v1').adapter('v2').adapter('v3');
    world.edit({ blueGreen: { autoPromotion: false } }).decide();
    world.edit({ adapter: 'v2' }).decide();
    world.decide({ verb: 'abort' });
    const { status } = world.edit({ adapter: 'v3' }).decide();
    expect(status).toMatchObject({ phase: 'Paused', canary: { adapter: 'v3' }, weights: { canary: 0 } });
    expect(status.abort).toBeUndefined();
    expect(world.decide({ verb: 'promote' }).status.stable?.adapter).toBe('v3');
  });

  it('gives a blue-green canary up at the deadline where the spec says so', () => {
    const world = new DecisionWorld([]).adapter('v1').adapter('v2', { state: 'Pending' });
    world.edit({ blueGreen: {}, abortOnDeadline: true }).decide();
    world.edit({ adapter: 'v2' }).decide();
    expect(world.decide({ elapsedMs: 10 * minute }).status).toMatchObject({
      phase: 'Degraded',
      stable: { adapter: 'v1' },
      completionStatus: 'Aborted',
    });
  });

  it('takes a new adapter and new steps of the same edit as one rollout', () => {
    const world = underWay(timed);
    const { status, events } = world
      .edit({ adapter: 'v3', steps: [{ setWeight: 30 }, { pause: {} }] })
      .decide();
    expect(events.map(({ reason }) => reason)).toEqual(['Superseded', 'RolloutStarted', 'WeightSet']);
    expect(status).toMatchObject({ canary: { adapter: 'v3' }, weights: { canary: 30 }, step: { total: 2 } });
  });

  it('says when each of them began and ended, however long somebody took to promote', () => {
    const world = underWay([{ setWeight: 10 }, { pause: {} }]);
    const times = (): readonly (number | undefined)[] => {
      const { startedAt, finishedAt } = world.status ?? {};
      return [startedAt, finishedAt].map((at) => (at === undefined ? undefined : Date.parse(at)));
    };
    const began = world.now;
    expect(times()).toEqual([began, undefined]);
    world.decide({ elapsedMs: 90 * minute });
    expect(times()).toEqual([began, undefined]);
    world.decide({ elapsedMs: minute, verb: 'abort' });
    expect(times()).toEqual([began, began + 91 * minute]);
    world.decide({ elapsedMs: minute });
    expect(times()).toEqual([began, began + 91 * minute]);
    world.decide({ verb: 'retry' });
    expect(times()).toEqual([world.now, undefined]);
    world.decide({ elapsedMs: minute, verb: 'promote' });
    expect(times()).toEqual([began + 92 * minute, began + 93 * minute]);
  });

  it('says how each of them ended', () => {
    const world = underWay(timed);
    const ended = (): string | undefined => world.status?.completionStatus;
    world.edit({ adapter: 'v3' }).decide();
    expect(ended()).toBe('Superseded');
    world.decide({ verb: 'abort' });
    expect(ended()).toBe('Aborted');
    world.decide({ verb: 'retry' });
    expect(ended()).toBeUndefined();
    world.decide({ verb: 'promote-full' });
    expect(ended()).toBe('FastPromoted');
    world.edit({ adapter: 'v1' }).decide();
    expect(ended()).toBe('FastRolledBack');
    world.edit({ adapter: 'v2' }).decide();
    world.edit({ adapter: 'v1' }).decide();
    expect(ended()).toBe('RolledBack');
    world.edit({ adapter: 'v2', revisions: 0 }).decide();
    for (let turn = 0; turn < 3; turn++) world.decide({ elapsedMs: 2 * minute });
    expect(ended()).toBe('Promoted');
    expect(reasons(world.decide())).toEqual([]);
  });
});
