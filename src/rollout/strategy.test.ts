import { describe, expect, it } from 'vitest';
import { strategySchema } from '../api/rollout.ts';
import { stepsOf } from './strategy.ts';
import { condition, DecisionWorld, minute, reasons } from './world.fixture.ts';

const blueGreen = (fields: object) => stepsOf(strategySchema.parse({ blueGreen: fields }));

describe('blue-green', () => {
  it.each([
    ['switches at once', {}, [{ preload: {} }, { setWeight: 100 }]],
    [
      'switches after a time',
      { autoPromotionAfter: '5m' },
      [{ preload: {} }, { pause: { duration: '5m' } }, { setWeight: 100 }],
    ],
    ['waits for a person', { autoPromotion: false }, [{ preload: {} }, { pause: {} }, { setWeight: 100 }]],
  ])('%s: it is a canary with these steps', (_, fields, steps) => {
    expect(blueGreen(fields)).toEqual(steps);
  });

  it('gives the new adapter nobody until it is ready everywhere and somebody promotes, then everybody', () => {
    const world = new DecisionWorld([]).adapter('v1').edit({ blueGreen: { autoPromotion: false } });
    world.decide();
    world.adapter('v2', { state: 'Pending', runtimes: { ready: 1, connected: 2 } }).edit({ adapter: 'v2' });
    expect(world.decide().status).toMatchObject({ phase: 'Progressing', weights: { canary: 0 } });
    world.adapter('v2', { state: 'Resident', runtimes: { ready: 2, connected: 2 } });
    expect(world.decide({ elapsedMs: 60 * minute }).status).toMatchObject({
      phase: 'Paused',
      weights: { canary: 0 },
      message: 'step 2/3 waits until somebody promotes, canary at 0 %',
    });
    const promoted = world.decide({ verb: 'promote' });
    expect(reasons(promoted)).toEqual(['StepPromoted', 'WeightSet', 'Promoted']);
    expect(promoted.status).toMatchObject({
      phase: 'Healthy',
      stable: { adapter: 'v2' },
      history: [{ adapter: 'v1' }],
      completionStatus: 'Promoted',
    });
  });

  it('goes back in one decision when it is aborted before the switch', () => {
    const world = new DecisionWorld([])
      .adapter('v1')
      .adapter('v2')
      .edit({ blueGreen: { autoPromotion: false } });
    world.decide();
    world.edit({ adapter: 'v2' }).decide();
    expect(world.decide({ verb: 'abort' }).status).toMatchObject({
      phase: 'Degraded',
      stable: { adapter: 'v1' },
      weights: { canary: 0 },
    });
  });

  it('starts again when a canary strategy is edited into it', () => {
    const world = new DecisionWorld([{ setWeight: 10 }, { pause: {} }]).adapter('v1').adapter('v2');
    world.decide();
    world.edit({ adapter: 'v2' }).decide();
    const { status, events } = world.edit({ blueGreen: { autoPromotion: false } }).decide();
    expect(events[0]).toMatchObject({ reason: 'RolloutRestarted' });
    expect(status).toMatchObject({ weights: { canary: 0 }, step: { index: 1, total: 3 } });
    expect(condition(status, 'Paused')?.reason).toBe('AwaitingPromotion');
  });
});
