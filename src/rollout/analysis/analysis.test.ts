import { describe, expect, it } from 'vitest';
import { rolloutSpecSchema } from '../../api/rollout.ts';
import type { ArmCounter } from '../judge/counts.ts';
import { evenArm } from '../judge/judge.fixture.ts';
import { type Reports, reportsOf } from '../judge/reports.ts';
import { condition, DecisionWorld, minute, reasons } from '../world.fixture.ts';
import type { MeasurementResult } from './measurement.ts';

const report = (stable: ArmCounter, canary: ArmCounter): Reports =>
  reportsOf([
    {
      node: 'n1',
      instance: 'i1',
      weight: 50,
      seq: 1,
      stable: stable.snapshot(),
      canary: canary.snapshot(),
    },
  ]);

const rewarded = (requests: number, mean: number): ArmCounter => {
  const arm = evenArm(requests, 0);
  for (let i = 0; i < requests; i += 1) arm.rewarded(i % 64, mean + (i % 2 === 0 ? 0.1 : -0.1));
  return arm;
};

type Strategy = NonNullable<Parameters<DecisionWorld['edit']>[0]['strategy']>;

/** Stable v1, and v2 as canary by this strategy. */
const underWay = (strategy: Strategy): DecisionWorld => {
  const world = new DecisionWorld([]).adapter('v1').adapter('v2').adapter('v3');
  world.edit({ strategy }).decide();
  world.edit({ adapter: 'v2' }).decide();
  return world;
};

const half = [{ setWeight: 50 }, { pause: { duration: '10m' } }];
const beside = (analysis: NonNullable<NonNullable<Strategy['canary']>['analysis']> = {}): Strategy => ({
  canary: { steps: half, analysis },
});
const inStep = (analysis: object): Strategy => ({
  canary: { steps: [{ setWeight: 50 }, { analysis }, { setWeight: 100 }, { pause: {} }] },
});

const named = (world: DecisionWorld, name: string) =>
  world.status?.analysis?.find((metric) => metric.name === name) ?? expect.fail(`no metric ${name}`);

const looks = (world: DecisionWorld, count: number): void => {
  for (let i = 0; i < count; i += 1) world.decide({ elapsedMs: 10_000 });
};

describe('an analysis beside the steps', () => {
  it('gives up a canary that fails more than stable, in the decision that sees it', () => {
    const world = underWay(beside());
    world.reports = report(evenArm(2000, 20), evenArm(2000, 200));
    const decision = world.decide({ elapsedMs: 10_000 });
    expect(world.status).toMatchObject({
      phase: 'Degraded',
      weights: { canary: 0 },
      stable: { adapter: 'v1' },
    });
    expect(reasons(decision)).toContain('Aborted');
    expect(world.status?.abort?.reason).toMatch(/^metric error-ratio: /);
    expect(named(world, 'error-ratio')).toMatchObject({ phase: 'Failed', failed: 1 });
  });

  it('lets a canary pass that is like stable, and keeps what was found after its promotion', () => {
    const world = underWay(beside());
    world.reports = report(evenArm(2000, 20), evenArm(2000, 20));
    looks(world, 61);
    expect(world.status).toMatchObject({ phase: 'Healthy', stable: { adapter: 'v2' } });
    expect(named(world, 'error-ratio').taken).toBeGreaterThan(50);
    world.edit({ adapter: 'v3' }).decide();
    expect(named(world, 'error-ratio')).toMatchObject({ taken: 1 });
  });

  it('does not hold a rollout for want of requests', () => {
    const world = underWay(beside());
    looks(world, 61);
    expect(world.status?.stable?.adapter).toBe('v2');
  });

  it('acts while the spec holds the rollout, and while the canary is awaited', () => {
    for (const hold of ['paused', 'awaited'] as const) {
      const world = underWay(beside());
      if (hold === 'paused') world.edit({ paused: true }).decide();
      else world.adapter('v2', { state: 'Pending' }).decide();
      world.reports = report(evenArm(2000, 20), evenArm(2000, 200));
      world.decide({ elapsedMs: 10_000 });
      expect(world.status?.weights.canary, hold).toBe(0);
    }
  });

  it('measures nothing at weight 0 and before its first step', () => {
    const steps = [{ pause: { duration: '1m' } }, { setWeight: 50 }, { setWeight: 60 }, { pause: {} }];
    const world = underWay({ canary: { steps, analysis: { startingStep: 3 } } });
    expect(world.status?.analysis).toBeUndefined();
    world.decide({ elapsedMs: minute });
    expect(world.status?.step?.index).toBe(3);
    expect(named(world, 'latency').measured).toBe(1);
  });

  it('measures each metric when its interval has passed, and not again at the same moment', () => {
    const world = underWay(beside());
    expect(named(world, 'latency').measured).toBe(1);
    const { status } = world;
    expect(world.decide().status).toBe(status);
    const decision = world.decide({ elapsedMs: 4000 });
    expect(named(world, 'latency')).toMatchObject({ measured: 1, waitedMs: 4000 });
    expect(decision.requeueAfterMs).toBe(6000);
    expect(decision.status.revision).toBe(status?.revision);
    world.decide({ elapsedMs: 6000 });
    expect(named(world, 'latency')).toMatchObject({ measured: 2, waitedMs: 0 });
  });

  it('pauses for a signal that fails, measures anew after a promote, and leaves the pause of the step alone', () => {
    const world = underWay(
      beside({ metrics: [{ name: 'errors', source: { builtin: 'ErrorRatio' }, class: 'Signal' }] }),
    );
    world.reports = report(evenArm(2000, 20), evenArm(2000, 200));
    world.decide({ elapsedMs: 10_000 });
    expect(world.status).toMatchObject({ phase: 'Paused', weights: { canary: 50 } });
    expect(condition(world.status ?? expect.fail(), 'Paused')?.reason).toBe('AwaitingVerdict');
    looks(world, 100);
    expect(world.status?.weights.canary).toBe(50);
    world.reports = report(evenArm(2000, 20), evenArm(2000, 20));
    world.decide({ verb: 'promote' });
    expect(world.status).toMatchObject({ phase: 'Paused', step: { index: 1 } });
    expect(condition(world.status ?? expect.fail(), 'Paused')?.reason).toBe('StepPaused');
    expect(named(world, 'errors')).toMatchObject({ phase: 'Running', taken: 1, measured: 3 });
  });

  it('leaves a promote to the pause of the step when what could not tell holds nothing', () => {
    const split = { name: 'split', source: { builtin: 'SampleRatio' as const } };
    const world = underWay(beside({ metrics: [split], onInconclusive: 'Continue' }));
    world.reports = report(evenArm(4000, 0), evenArm(1000, 0));
    world.decide({ elapsedMs: 10_000 });
    expect(named(world, 'split').phase).toBe('Inconclusive');
    expect(condition(world.status ?? expect.fail(), 'Paused')?.reason).toBe('StepPaused');
    world.decide({ verb: 'promote' });
    expect(world.status).toMatchObject({ phase: 'Healthy', stable: { adapter: 'v2' } });
  });

  it('names the guardrail that failed, not a signal that failed before it in the list', () => {
    const world = underWay(
      beside({
        metrics: [
          { name: 'signal', source: { builtin: 'ErrorRatio' }, class: 'Signal' },
          { name: 'guardrail', source: { builtin: 'ErrorRatio' } },
        ],
      }),
    );
    world.reports = report(evenArm(2000, 20), evenArm(2000, 200));
    world.decide({ elapsedMs: 10_000 });
    expect(world.status?.abort?.reason).toMatch(/^metric guardrail: /);
  });

  it('forgets what it found with a retry', () => {
    const world = underWay(beside());
    world.reports = report(evenArm(2000, 20), evenArm(2000, 200));
    world.decide({ elapsedMs: 10_000 });
    // What is there is still that of the attempt before.
    world.decide({ verb: 'retry' });
    expect(world.status).toMatchObject({ weights: { canary: 50 } });
    expect(named(world, 'error-ratio')).toMatchObject({ phase: 'Running', failed: 0 });
  });

  it('is what a rollout has that names no strategy', () => {
    const world = underWay(rolloutSpecSchema.parse({ adapter: 'v2' }).strategy);
    expect(world.status?.analysis?.map(({ name }) => name)).toEqual([
      'error-ratio',
      'latency',
      'sample-ratio',
    ]);
  });
});

describe('an analysis step', () => {
  it('goes on after its time when nothing is wrong', () => {
    const world = underWay(inStep({ duration: '1m' }));
    world.reports = report(evenArm(2000, 20), evenArm(2000, 20));
    looks(world, 5);
    expect(world.status).toMatchObject({ phase: 'Progressing', step: { index: 1 }, weights: { canary: 50 } });
    expect(condition(world.status ?? expect.fail(), 'Progressing')?.reason).toBe('Analysing');
    world.decide({ elapsedMs: 10_000 });
    expect(world.status).toMatchObject({ phase: 'Paused', step: { index: 3 }, weights: { canary: 100 } });
    expect(named(world, 'error-ratio')).toMatchObject({ phase: 'Success', step: 1 });
  });

  it('gives up at once what fails', () => {
    const world = underWay(inStep({ duration: '1h' }));
    world.reports = report(evenArm(2000, 20), evenArm(2000, 200));
    const decision = world.decide({ elapsedMs: 10_000 });
    expect(decision.status).toMatchObject({
      phase: 'Degraded',
      completionStatus: 'Aborted',
      weights: { canary: 0 },
    });
  });

  it('needs a person when its time ends with too few requests, and goes on with a promote', () => {
    const world = underWay(inStep({ duration: '1m' }));
    world.reports = report(evenArm(20, 0), evenArm(20, 0));
    world.decide({ elapsedMs: minute });
    expect(condition(world.status ?? expect.fail(), 'Paused')?.reason).toBe('AwaitingVerdict');
    expect(world.status?.message).toContain('100 of each are needed');
    const { status } = world;
    expect(world.decide().status).toBe(status);
    world.decide({ verb: 'promote' });
    expect(world.status).toMatchObject({ step: { index: 3 }, weights: { canary: 100 } });
  });

  it('goes on with too few requests where the spec says so', () => {
    const world = underWay(inStep({ duration: '1m', onInconclusive: 'Continue' }));
    world.decide({ elapsedMs: minute });
    expect(world.status?.step?.index).toBe(3);
  });

  it('does not count against the progress deadline', () => {
    const world = underWay(inStep({ duration: '1h' })).edit({ deadline: '1m' });
    for (let i = 0; i < 20; i += 1) world.decide({ elapsedMs: minute });
    expect(world.status).toMatchObject({ phase: 'Progressing', step: { index: 1 } });
  });
});

describe('a metric from elsewhere', () => {
  const source = { prometheus: { address: 'http://prometheus:9090', query: 'up' } };
  const metric = {
    name: 'p99',
    source,
    judge: { threshold: { success: { atMost: 0.5 } } },
    interval: '1m',
    count: 2,
  };
  /** Answers by the number of the measurement. */
  const answers = (world: DecisionWorld, list: readonly MeasurementResult[]): void => {
    world.measured = (_, number) => list[number];
  };

  it('is wanted when it is due, waited for, and used for the measurement that it was fetched for', () => {
    const world = underWay(inStep({ metrics: [metric] }));
    const first = world.decide();
    expect(first.wanted).toEqual([expect.objectContaining({ number: 0, source })]);
    expect(world.decide({ elapsedMs: minute }).wanted).toEqual(first.wanted);
    answers(world, [{ value: 0.1 }]);
    expect(world.decide().wanted).toEqual([]);
    expect(named(world, 'p99')).toMatchObject({ taken: 1, value: 0.1, phase: 'Running' });
    const second = world.decide({ elapsedMs: minute });
    expect(second.wanted).toEqual([{ ...first.wanted[0], number: 1 }]);
    answers(world, [{ value: 0.1 }, { value: 0.2 }]);
    world.decide();
    expect(named(world, 'p99')).toMatchObject({ taken: 2, phase: 'Success' });
    expect(world.status?.step?.index).toBe(3);
  });

  it('gives the canary up when it is outside its limits', () => {
    const world = underWay(inStep({ metrics: [metric] }));
    answers(world, [{ value: 0.7 }]);
    world.decide();
    expect(world.status).toMatchObject({ phase: 'Degraded', weights: { canary: 0 } });
    expect(world.status?.abort?.reason).toBe('metric p99: it is 0.7: success {"atMost":0.5}');
  });

  it('never rolls back for what cannot be measured: it pauses after the errors that are put up with', () => {
    const world = underWay(inStep({ metrics: [metric] }));
    answers(
      world,
      Array.from({ length: 9 }, () => ({ error: 'connection refused' })),
    );
    for (let i = 0; i < 4; i += 1) world.decide({ elapsedMs: minute });
    expect(world.status?.phase).toBe('Progressing');
    world.decide({ elapsedMs: minute });
    expect(world.status).toMatchObject({ phase: 'Paused', weights: { canary: 50 } });
    expect(world.status?.message).toContain('metric p99: connection refused');
  });

  it('is waited for at the end of a step without deciding again and again', () => {
    const world = underWay(inStep({ duration: '1m', metrics: [{ ...metric, count: 5, interval: '30s' }] }));
    const decision = world.decide({ elapsedMs: minute });
    expect(decision.wanted).toHaveLength(1);
    expect(decision.requeueAfterMs).toBeGreaterThan(1000);
    answers(world, [{ value: 0.1 }]);
    world.decide();
    expect(world.status?.step?.index).toBe(3);
  });

  it('has an id of its own for each attempt', () => {
    const world = underWay(inStep({ metrics: [metric] }));
    const [first] = world.decide().wanted;
    world.decide({ verb: 'abort' });
    const [second] = world.decide({ verb: 'retry' }).wanted;
    expect(second?.number).toBe(0);
    expect(second?.id).not.toBe(first?.id);
  });
});

describe('an A/B test', () => {
  const abTest = (promoteWinner: boolean): Strategy => ({ abTest: { duration: '1h', promoteWinner } });

  it('makes the new adapter stable at its end when it surely earns more, and keeps the report', () => {
    const world = underWay(abTest(true));
    expect(world.status?.weights.canary).toBe(50);
    world.reports = report(rewarded(2000, 0.5), rewarded(2000, 0.8));
    for (let i = 0; i < 61; i += 1) world.decide({ elapsedMs: minute });
    expect(world.status).toMatchObject({ phase: 'Healthy', stable: { adapter: 'v2' } });
    const { variants } = named(world, 'reward');
    expect(variants?.stable?.mean).toBeCloseTo(0.5);
    expect(variants?.canary).toMatchObject({ count: 2000, mean: expect.closeTo(0.8) });
    expect(variants?.canary?.low).toBeGreaterThan(variants?.stable?.high ?? Infinity);
  });

  it('keeps the present adapter as soon as the new one surely earns less', () => {
    const world = underWay(abTest(true));
    world.reports = report(rewarded(2000, 0.8), rewarded(2000, 0.5));
    world.decide({ elapsedMs: minute });
    expect(world.status).toMatchObject({ phase: 'Degraded', completionStatus: 'Aborted' });
    expect(world.status?.abort?.reason).toMatch(/^metric reward: /);
  });

  it('waits for a person when nobody asked it to promote, and when it cannot tell', () => {
    const decided = underWay(abTest(false));
    decided.reports = report(rewarded(2000, 0.5), rewarded(2000, 0.8));
    for (let i = 0; i < 61; i += 1) decided.decide({ elapsedMs: minute });
    expect(condition(decided.status ?? expect.fail(), 'Paused')?.reason).toBe('AwaitingPromotion');

    const undecided = underWay(abTest(true));
    undecided.reports = report(rewarded(2000, 0.5), rewarded(2000, 0.5));
    for (let i = 0; i < 61; i += 1) undecided.decide({ elapsedMs: minute });
    expect(condition(undecided.status ?? expect.fail(), 'Paused')?.reason).toBe('AwaitingVerdict');
  });

  it('is asked about once: a promote after an open verdict does not wait for another', () => {
    const world = underWay(abTest(false));
    world.reports = report(rewarded(2000, 0.5), rewarded(2000, 0.5));
    for (let i = 0; i < 61; i += 1) world.decide({ elapsedMs: minute });
    expect(condition(world.status ?? expect.fail(), 'Paused')?.reason).toBe('AwaitingVerdict');
    world.decide({ verb: 'promote' });
    expect(world.status).toMatchObject({ phase: 'Healthy', stable: { adapter: 'v2' } });
  });

  it('gives up a canary that fails, whatever it earns', () => {
    const world = underWay(abTest(false));
    world.reports = report(evenArm(2000, 20), evenArm(2000, 200));
    world.decide({ elapsedMs: minute });
    expect(world.status?.completionStatus).toBe('Aborted');
  });
});

describe('blue-green with analyses', () => {
  const analysis = {
    metrics: [
      {
        name: 'smoke',
        source: { http: { url: 'http://checks/v2', jsonPath: '$.ok' } },
        judge: { threshold: { success: { atLeast: 1 } } },
        count: 1,
      },
    ],
  };

  it('never switches when what is measured before fails', () => {
    const world = underWay({ blueGreen: { prePromotionAnalysis: analysis } });
    expect(world.status?.weights.canary).toBe(0);
    world.measured = () => ({ value: 0 });
    world.decide();
    expect(world.status).toMatchObject({ phase: 'Degraded', stable: { adapter: 'v1' } });
  });

  it('switches back when what is measured after the switch fails', () => {
    const world = underWay({ blueGreen: { postPromotionAnalysis: analysis } });
    expect(world.status).toMatchObject({ weights: { canary: 100 }, stable: { adapter: 'v1' } });
    world.measured = () => ({ value: 0 });
    world.decide();
    expect(world.status).toMatchObject({ weights: { canary: 0 }, stable: { adapter: 'v1' } });
  });
});
