import { describe, expect, it } from 'vitest';
import type { Step } from '../api/rollout.ts';
import { DecisionWorld, reasons } from './world.fixture.ts';

/** A canary v2 of which `ready` of ten connected runtimes have it Resident. */
const withReady = (steps: readonly Step[], ready: number): DecisionWorld => {
  const world = new DecisionWorld(steps).adapter('v1');
  world.decide();
  return readyOn(world.edit({ adapter: 'v2' }), ready);
};
const readyOn = (world: DecisionWorld, ready: number): DecisionWorld =>
  world.adapter('v2', {
    state: ready === 10 ? 'Resident' : 'Pending',
    reason: 'RuntimesNotReady',
    message: `${ready} of 10`,
    runtimes: { ready, connected: 10 },
  });

const most: Step[] = [{ preload: { successThreshold: '90%' } }, { setWeight: 10 }, { pause: {} }];

describe('a preload step', () => {
  it('waits for all connected runtimes unless it says how many are enough', () => {
    const world = withReady([{ preload: {} }, { setWeight: 10 }, { pause: {} }], 9);
    expect(world.decide().status).toMatchObject({
      phase: 'Progressing',
      weights: { canary: 0 },
      step: { index: 0 },
      message: 'waits until v2 is Resident (RuntimesNotReady: 9 of 10)',
    });
    expect(readyOn(world, 10).decide().status).toMatchObject({ phase: 'Paused', weights: { canary: 10 } });
  });

  it('goes on with as many as it says, and stops again when there are fewer', () => {
    const world = withReady(most, 8);
    expect(world.decide().status).toMatchObject({ phase: 'Progressing', weights: { canary: 0 } });
    expect(readyOn(world, 9).decide().status).toMatchObject({ phase: 'Paused', weights: { canary: 10 } });
    expect(readyOn(world, 8).decide().status).toMatchObject({
      phase: 'Progressing',
      weights: { canary: 10 },
    });
    expect(readyOn(world, 9).decide({ verb: 'promote' }).status).toMatchObject({ stable: { adapter: 'v2' } });
  });

  it('may ask for more later: it waits there at the weight that it has', () => {
    const world = withReady([...most, { preload: {} }, { setWeight: 50 }, { pause: {} }], 9);
    world.decide();
    const { status } = world.decide({ verb: 'promote' });
    expect(status).toMatchObject({ phase: 'Progressing', weights: { canary: 10 }, step: { index: 3 } });
    expect(world.decide().status).toBe(status);
    expect(readyOn(world, 10).decide().status).toMatchObject({ weights: { canary: 50 }, step: { index: 5 } });
    expect(readyOn(world, 9).decide().status).toMatchObject({
      phase: 'Progressing',
      weights: { canary: 50 },
    });
  });

  it('never goes on with a runtime that refused the canary, nor with none at all', () => {
    const refused = withReady(most, 9).adapter('v2', { state: 'Failed' });
    expect(reasons(refused.decide())).toEqual(['RolloutStarted', 'Aborted']);
    const nobody = withReady(most, 0).adapter('v2', { runtimes: { ready: 0, connected: 0 } });
    expect(nobody.decide().status).toMatchObject({ phase: 'Progressing', weights: { canary: 0 } });
  });

  it('counts as the steps that were edited when its share changes', () => {
    const world = withReady(most, 9);
    world.decide();
    const edited: Step[] = [{ preload: { successThreshold: '80%' } }, ...most.slice(1)];
    expect(reasons(world.edit({ steps: edited }).decide())).toEqual(['RolloutRestarted', 'WeightSet']);
  });
});
