import { describe, expect, it } from 'vitest';
import { type Step, strategySchema } from '../api/rollout.ts';
import { noCopyCounts } from './copies.ts';
import { stepsOf } from './strategy.ts';
import { DecisionWorld, minute, reasons, underWay } from './world.fixture.ts';

const mirrored: readonly Step[] = [{ setMirrorRoute: { percentage: 10 } }, { pause: {} }];
const weights = { canary: 0, stable: 100 };

describe('the step setMirrorRoute', () => {
  it('sets the percentage in the status, says so once, and says it in the message of a pause', () => {
    const world = new DecisionWorld(mirrored).adapter('v1').adapter('v2');
    world.decide();
    const { status, events } = world.edit({ adapter: 'v2' }).decide();
    expect(status).toMatchObject({
      phase: 'Paused',
      weights: { ...weights, mirror: 10 },
      message: 'step 2/2 waits until somebody promotes, canary at 0 %, 10 % mirrored',
    });
    expect(events).toContainEqual({ reason: 'MirrorSet', message: 'mirrored from 0 to 10 %' });
    expect(reasons(world.decide())).toEqual([]);
  });

  it('is a decision: the revision grows with it', () => {
    const world = underWay([{ pause: {} }, ...mirrored]);
    const before = world.status?.revision ?? 0;
    const { status } = world.decide({ verb: 'promote' });
    expect([status.weights.mirror, status.revision]).toEqual([10, before + 1]);
  });

  it('ends mirroring with 0', () => {
    const world = underWay([...mirrored, { setMirrorRoute: { percentage: 0 } }, { pause: {} }]);
    const { status, events } = world.decide({ verb: 'promote' });
    expect(status.weights).toEqual(weights);
    expect(events).toContainEqual({ reason: 'MirrorSet', message: 'mirrored from 10 to 0 %' });
  });

  it('stands beside a weight', () => {
    const world = underWay([{ setWeight: 20 }, ...mirrored]);
    expect(world.status?.weights).toEqual({ canary: 20, stable: 80, mirror: 10 });
  });

  it('starts again when its percentage is edited', () => {
    const world = underWay(mirrored);
    const { status, events } = world
      .edit({ steps: [{ pause: {} }, { setMirrorRoute: { percentage: 20 } }] })
      .decide();
    expect(reasons({ events })).toContain('RolloutRestarted');
    expect(status.weights).toEqual(weights);
    const changed = underWay(mirrored).edit({
      steps: [{ setMirrorRoute: { percentage: 20 } }, { pause: {} }],
    });
    expect(changed.decide().status.weights.mirror).toBe(20);
  });

  it.each<[string, (world: DecisionWorld) => DecisionWorld]>([
    ['an abort', (world) => (world.decide({ verb: 'abort' }), world)],
    ['a rollback by hand', (world) => (world.decide({ verb: 'rollback' }), world)],
    ['a guard', (world) => (world.hold('v2').decide(), world)],
    ['an adapter that is refused', (world) => (world.adapter('v2', { state: 'Failed' }).decide(), world)],
    ['the spec that names stable again', (world) => (world.edit({ adapter: 'v1' }).decide(), world)],
    ['a promotion past all steps', (world) => (world.decide({ verb: 'promote-full' }), world)],
    ['a promotion at the last step', (world) => (world.decide({ verb: 'promote' }), world)],
    [
      'another canary that is not ready',
      (world) => (world.adapter('v3', { state: 'Pending' }).edit({ adapter: 'v3' }).decide(), world),
    ],
  ])('ends in the same decision with %s', (_, happens) => {
    const world = underWay(mirrored);
    expect(world.status?.weights.mirror).toBe(10);
    expect(happens(world).status?.weights).toEqual(weights);
  });

  it('goes on while the rollout is paused by its spec', () => {
    const world = underWay(mirrored).edit({ paused: true });
    expect(world.decide().status.weights.mirror).toBe(10);
  });
});

describe('what mirroring found, in the status', () => {
  const counts = { ...noCopyCounts, requests: 4, compared: 4, equal: 3, similarity: 3.5 };

  it('is an observation: the revision does not grow', () => {
    const world = underWay(mirrored);
    const { revision } = world.status ?? {};
    world.mirrored = counts;
    const { status, events } = world.decide();
    expect(status.mirror).toMatchObject({ requests: 4, equal: 0.75, similarity: 0.875 });
    expect([status.revision, events]).toEqual([revision, []]);
    expect(world.decide().status).toBe(status);
  });

  it('stays when the runtimes have started anew, and when the canary was given up or promoted', () => {
    const world = underWay(mirrored);
    world.mirrored = counts;
    world.decide();
    world.mirrored = undefined;
    expect(world.decide().status.mirror).toMatchObject({ requests: 4 });
    world.mirrored = noCopyCounts;
    expect(world.decide().status.mirror).toMatchObject({ requests: 4 });
    const promoted = world.clone();
    expect(promoted.decide({ verb: 'promote' }).status).toMatchObject({
      stable: { adapter: 'v2' },
      mirror: { requests: 4 },
    });
    expect(world.decide({ verb: 'abort' }).status.mirror).toMatchObject({ requests: 4 });
  });

  it('has the last word on a canary in the decision in which it ends', () => {
    const world = underWay(mirrored);
    world.mirrored = counts;
    expect(world.decide({ verb: 'promote' }).status).toMatchObject({
      stable: { adapter: 'v2' },
      mirror: { requests: 4 },
    });
  });

  it('is not that of another canary or of an earlier attempt', () => {
    const world = underWay(mirrored);
    world.mirrored = counts;
    world.decide();
    const other = world.clone();
    expect(other.edit({ adapter: 'v3' }).decide().status.mirror).toBeUndefined();
    world.decide({ verb: 'abort' });
    expect(world.decide({ verb: 'retry' }).status.mirror).toBeUndefined();
  });
});

describe('the strategy shadow', () => {
  const shadow = (fields: object) => stepsOf(strategySchema.parse({ shadow: { duration: '1h', ...fields } }));

  it.each([
    ['waits for a person at its end', {}, 10, [{ pause: {} }]],
    ['promotes by itself', { percentage: 25, promote: true }, 25, []],
  ])('%s: it is a canary with these steps', (_, fields, percentage, end) => {
    expect(shadow(fields)).toEqual([
      { preload: {} },
      { setMirrorRoute: { percentage } },
      { pause: { duration: '1h' } },
      { setMirrorRoute: { percentage: 0 } },
      ...end,
    ]);
  });

  it('gives the new adapter no caller until somebody promotes, then everybody', () => {
    const world = new DecisionWorld([]).adapter('v1').adapter('v2');
    world.edit({ strategy: { shadow: { duration: '1h' } } }).decide();
    world.edit({ adapter: 'v2' }).decide();
    expect(world.status).toMatchObject({ phase: 'Paused', weights: { canary: 0, mirror: 10 } });
    world.decide({ elapsedMs: 60 * minute });
    expect(world.status).toMatchObject({
      phase: 'Paused',
      weights,
      message: 'step 5/5 waits until somebody promotes, canary at 0 %',
    });
    expect(world.status?.weights.mirror).toBeUndefined();
    expect(world.decide({ verb: 'promote' }).status).toMatchObject({
      phase: 'Healthy',
      stable: { adapter: 'v2' },
    });
  });
});

describe('the metric Mismatch', () => {
  const underShadow = (): DecisionWorld => {
    const world = new DecisionWorld([]).adapter('v1').adapter('v2');
    world.edit({ strategy: { shadow: { duration: '1h', maxMismatch: '5%' } } }).decide();
    world.edit({ adapter: 'v2' }).decide();
    return world;
  };
  const answers = (compared: number, equal: number, failed = 0) => ({
    ...noCopyCounts,
    requests: compared + failed,
    failed,
    compared,
    equal,
    similarity: equal,
  });

  it('is measured in place of the pause where a shadow has a limit', () => {
    const steps = stepsOf(strategySchema.parse({ shadow: { duration: '1h', maxMismatch: '5%' } }));
    expect(steps[2]).toMatchObject({
      analysis: {
        duration: '1h',
        metrics: [{ source: { builtin: 'Mismatch' }, judge: { threshold: { success: { atMost: 0.05 } } } }],
      },
    });
    expect(steps).toEqual(strategySchema.parse({ canary: { steps: [...steps] } }).canary?.steps);
  });

  it('gives the canary up once more answers differ than it allows, and ends mirroring with it', () => {
    const world = underShadow();
    expect(world.status).toMatchObject({ phase: 'Progressing', weights: { mirror: 10 } });
    world.mirrored = answers(99, 0);
    expect(world.decide({ elapsedMs: 10_000 }).status.phase).toBe('Progressing');
    world.mirrored = answers(200, 189);
    const { status } = world.decide({ elapsedMs: 10_000 });
    expect(status).toMatchObject({
      phase: 'Degraded',
      abort: { reason: 'metric mismatch: 5.5 % of 200 answers to copies are not those of stable' },
      analysis: [{ name: 'mismatch', phase: 'Failed', value: 0.055, bound: 0.05 }],
    });
    expect(status.weights).toEqual(weights);
  });

  it('takes what the canary failed to answer for different', () => {
    const world = underShadow();
    world.mirrored = answers(95, 95, 6);
    expect(world.decide({ elapsedMs: 10_000 }).status.phase).toBe('Degraded');
  });

  it('goes on to a person when few enough differ, and stops for one when too few were compared', () => {
    const world = underShadow();
    const few = world.clone();
    world.mirrored = answers(200, 190);
    expect(world.decide({ elapsedMs: 60 * minute }).status).toMatchObject({
      phase: 'Paused',
      step: { index: 4 },
      weights: { canary: 0, stable: 100 },
    });
    few.mirrored = answers(50, 50);
    expect(few.decide({ elapsedMs: 60 * minute }).status).toMatchObject({
      phase: 'Paused',
      step: { index: 2 },
      analysis: [{ phase: 'Inconclusive', message: '50 answers were compared, 100 are needed' }],
    });
  });

  it('does not take what an earlier attempt answered', () => {
    const world = underShadow();
    world.mirrored = answers(200, 0);
    world.decide({ elapsedMs: 10_000 });
    world.decide({ verb: 'retry' });
    expect(world.status?.phase).toBe('Progressing');
  });
});
