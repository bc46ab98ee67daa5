import { describe, expect, it } from 'vitest';
import { analysisSpecSchema } from '../../api/analysis.ts';
import { condition, DecisionWorld, minute, reasons, underWay as underWaySteps } from '../world.fixture.ts';

type Strategy = NonNullable<Parameters<DecisionWorld['edit']>[0]['strategy']>;

const prometheus = { address: 'http://prometheus', query: 'up' };
/** One metric that Prometheus has, which fails above a limit. */
const upTo = (atMost: number, more: object = {}, name = 'up') =>
  analysisSpecSchema.parse({
    metrics: [
      { name, source: { prometheus }, judge: { threshold: { success: { atMost } } }, interval: '10s' },
    ],
    ...more,
  });
const fact = (spec = upTo(1), generation = 1) => ({ uid: 'uid-quality', generation, spec });

const inStep = (analysis: object = { ref: 'quality', duration: '10m' }): Strategy => ({
  canary: { steps: [{ setWeight: 50 }, { analysis }, { pause: {} }] },
});
const beside: Strategy = {
  canary: { steps: [{ setWeight: 50 }, { pause: { duration: '10m' } }], analysis: { ref: 'quality' } },
};

/** Stable v1, and v2 as canary by a strategy; `there`: the AdapterAnalysis quality exists. */
const underWay = (strategy: Strategy, there = true): DecisionWorld => {
  const world = new DecisionWorld([]).adapter('v1').adapter('v2').adapter('v3');
  if (there) world.analyses.set('quality', fact());
  world.measured = () => ({ value: 0 });
  world.edit({ strategy }).decide();
  world.edit({ adapter: 'v2' }).decide();
  return world;
};
const measured = (world: DecisionWorld) =>
  world.status?.analysis?.map(({ name, phase }) => `${name} ${phase}`);

describe('an analysis by reference', () => {
  it.each([
    ['as a step', inStep()],
    ['beside the steps', beside],
  ])('measures %s what the AdapterAnalysis says, and gives up a canary that fails', (_, strategy) => {
    const world = underWay(strategy);
    expect(measured(world)).toEqual(['up Running']);
    expect(condition(world.status ?? expect.fail(), 'AnalysesFound')?.status).toBe('True');
    world.measured = () => ({ value: 7 });
    world.decide({ elapsedMs: 10_000 });
    expect(world.status).toMatchObject({ phase: 'Degraded', weights: { canary: 0 } });
    expect(world.status?.abort?.reason).toMatch(/^metric up: /);
  });

  it('has the duration and the answer to an inconclusive metric of the AdapterAnalysis, or those of the step', () => {
    const world = underWay(inStep({ ref: 'quality' }), false);
    world.analyses.set('quality', fact(upTo(1, { duration: '1m', onInconclusive: 'Continue' })));
    world.measured = () => ({ value: Number.NaN });
    for (let i = 0; i < 7; i++) world.decide({ elapsedMs: 10_000 });
    expect(world.status?.step?.index).toBe(2);

    const other = underWay(inStep({ ref: 'quality', duration: '2m', onInconclusive: 'Pause' }), false);
    other.analyses.set('quality', fact(upTo(1, { duration: '1m', onInconclusive: 'Continue' })));
    other.measured = () => ({ value: Number.NaN });
    for (let i = 0; i < 7; i++) other.decide({ elapsedMs: 10_000 });
    expect(other.status).toMatchObject({ step: { index: 1 }, phase: 'Paused' });
  });

  it('stays as it was when the canary was bound, whatever becomes of the object', () => {
    const world = underWay(inStep());
    world.analyses.set('quality', fact(upTo(-1, {}, 'edited'), 2));
    world.decide({ elapsedMs: 10_000 });
    expect(measured(world)).toEqual(['up Running']);
    world.analyses.delete('quality');
    world.decide({ elapsedMs: 10_000 });
    expect(measured(world)).toEqual(['up Running']);
    expect(world.status).toMatchObject({
      weights: { canary: 50 },
      analyses: [{ name: 'quality', generation: 1 }],
    });
  });

  it.each([
    ['the next canary', (world: DecisionWorld) => world.edit({ adapter: 'v3' }).decide()],
    [
      'another try',
      (world: DecisionWorld) => {
        world.decide({ verb: 'abort' });
        world.decide({ verb: 'retry' });
      },
    ],
    [
      'an edit of the steps',
      (world: DecisionWorld) => world.edit({ strategy: inStep({ ref: 'quality', duration: '9m' }) }).decide(),
    ],
  ])('is copied anew for %s', (_, begin) => {
    const world = underWay(inStep());
    world.analyses.set('quality', fact(upTo(1, {}, 'edited'), 2));
    begin(world);
    expect(world.status?.analyses).toMatchObject([{ generation: 2 }]);
    expect(measured(world)).toEqual(['edited Running']);
  });

  it('is copied when a canary that is under way is given one beside its steps', () => {
    const world = underWay({ canary: { steps: beside.canary?.steps ?? [] } });
    expect(world.status?.analyses).toBeUndefined();
    world.edit({ strategy: beside }).decide();
    expect(measured(world)).toEqual(['up Running']);
    expect(world.status?.weights.canary).toBe(50);
  });
});

describe('a reference to nothing', () => {
  it('is a condition, one event and no step, and the canary goes on once the object is there', () => {
    const world = new DecisionWorld([]).adapter('v1').adapter('v2');
    world.measured = () => ({ value: 0 });
    const first = world.edit({ strategy: inStep() }).decide();
    expect(world.status?.phase).toBe('Healthy');
    expect(condition(first.status, 'AnalysesFound')).toMatchObject({
      status: 'False',
      reason: 'AnalysisNotFound',
    });
    expect(reasons(first)).toContain('AnalysisNotFound');
    const bound = world.edit({ adapter: 'v2' }).decide();
    expect(reasons(bound)).not.toContain('AnalysisNotFound');
    for (let i = 0; i < 5; i++) world.decide({ elapsedMs: minute });
    expect(world.status).toMatchObject({
      phase: 'Progressing',
      weights: { canary: 0 },
      canary: { adapter: 'v2' },
    });
    expect(world.status?.message).toMatch(/AdapterAnalysis quality, which does not exist/);
    world.analyses.set('quality', fact());
    world.decide();
    expect(world.status?.weights.canary).toBe(50);
    expect(measured(world)).toEqual(['up Running']);
  });

  it('counts as waiting without progress', () => {
    const world = underWay(inStep(), false);
    for (let i = 0; i < 11; i++) world.decide({ elapsedMs: minute });
    expect(condition(world.status ?? expect.fail(), 'Ready')?.reason).toBe('ProgressDeadlineExceeded');
  });

  it('holds nobody up who goes back to a recent stable, or skips the steps', () => {
    const skipping = underWay(inStep(), false);
    skipping.decide({ verb: 'promote-full' });
    expect(skipping.status).toMatchObject({ phase: 'Healthy', stable: { adapter: 'v2' } });
    skipping.edit({ adapter: 'v1' }).decide();
    expect(skipping.status).toMatchObject({ phase: 'Healthy', stable: { adapter: 'v1' } });
  });

  it('leaves a canary with requests where it is, and its guard and its abort in force', () => {
    const world = underWay({ canary: { steps: beside.canary?.steps ?? [] } }, false);
    world.edit({ strategy: beside }).decide();
    for (let i = 0; i < 15; i++) world.decide({ elapsedMs: minute });
    expect(world.status).toMatchObject({ weights: { canary: 50 }, stable: { adapter: 'v1' } });
    world.hold('v2').decide();
    expect(world.status).toMatchObject({ phase: 'Degraded', weights: { canary: 0 } });
  });
});

describe('an analysis that is not valid', () => {
  it.each([
    [
      'cannot be read',
      { uid: 'u', generation: 1, invalid: 'spec.metrics[0].name is required' },
      /metrics\[0\]\.name/,
    ],
    ['never ends as a step', fact(), /spec\.strategy\.canary\.steps\[1\]\.analysis: .* would never end/],
  ])('because it %s stops the canary with its reason', (_, now, says) => {
    const world = underWay(inStep({ ref: 'quality' }), false);
    world.analyses.set('quality', now);
    world.decide();
    expect(world.status).toMatchObject({ phase: 'Degraded', weights: { canary: 0 } });
    const told = condition(world.status ?? expect.fail(), 'AnalysesFound');
    expect(told).toMatchObject({
      status: 'False',
      reason: 'AnalysisInvalid',
      message: expect.stringMatching(says),
    });
    expect(condition(world.status ?? expect.fail(), 'Stalled')?.reason).toBe('AnalysisInvalid');
  });

  it('in the rollout itself leaves the canary at its weight and its step until it is mended', () => {
    const world = underWay(inStep());
    const { step } = world.status ?? {};
    world.invalidAnalyses = 'spec.strategy.canary.steps[1].analysis.metrics[0].name is required';
    world.edit({ strategy: inStep({ ref: 'not-valid.adaptlet.io' }) });
    for (let i = 0; i < 3; i++) world.decide({ elapsedMs: minute });
    expect(world.status).toMatchObject({ phase: 'Degraded', weights: { canary: 50 }, step });
    world.invalidAnalyses = undefined;
    world.edit({ strategy: inStep() }).decide();
    expect(world.status).toMatchObject({ weights: { canary: 50 }, step: { index: 1 } });
    expect(world.status?.phase).toBe('Progressing');
  });

  it('refers to more than a status has room for', () => {
    const refs = Array.from({ length: 9 }, (_, i) => ({ analysis: { ref: `a${i}`, duration: '1m' } }));
    const world = underWaySteps([]);
    world.edit({ adapter: 'v3', strategy: { canary: { steps: refs } } }).decide();
    expect(world.status?.message).toMatch(/refers to 9 AdapterAnalyses: use at most 8/);
  });
});

it('a strategy without references has neither copies nor a condition', () => {
  const world = underWay({ canary: { steps: [{ setWeight: 5 }, { pause: {} }], analysis: {} } }, false);
  expect(world.status?.analyses).toBeUndefined();
  expect(condition(world.status ?? expect.fail(), 'AnalysesFound')).toBeUndefined();
});
