import { describe, expect, it } from 'vitest';
import { type RolloutSpec, rolloutSpecSchema } from '../../api/rollout.ts';
import { aRollout } from '../../plan/manifests.fixture.ts';
import { total } from '../../rollout/judge/counts.ts';
import { originOf } from '../../rollout/judge/elsewhere.ts';
import { evenArm } from '../../rollout/judge/judge.fixture.ts';
import { countersOf, type WeightCounts } from '../../rollout/judge/reports.ts';
import { RewardedNumbers } from '../../rollout/judge/rewarded.ts';
import { ToldRewards } from '../../rollout/judge/told-rewards.ts';
import type { RolloutState, RuntimeState } from '../fleet/fleet.ts';
import { saidOf } from '../reconcile/alike.ts';
import { aRolloutState, aRuntimeState, runtimeKey } from '../testing/fake-fleet.ts';
import { nothingKept } from '../testing/one-by-one.ts';
import { setOf } from '../testing/runtime-set.ts';
import { type AttemptCounts, attemptCountsOf } from './attempt-counts.ts';
import { digestOf, RolloutWorld, rolloutUid, sql } from './world.fixture.ts';

const errorsOnly = {
  metrics: [{ name: 'errors', source: { builtin: 'ErrorRatio' } }],
};
const strategyOf = (analysis: object): RolloutSpec['strategy'] =>
  rolloutSpecSchema.parse({
    adapter: 'v2',
    strategy: { canary: { steps: [{ setWeight: 50 }, { pause: {} }], analysis } },
  }).strategy;

/** v1 is stable, v2 is the canary at 50 % and is judged beside its pause. */
const judged = async (analysis: object, ...runtimes: string[]): Promise<RolloutWorld> => {
  const world = new RolloutWorld(...runtimes).adapter('v1').adapter('v2').adapter('v3');
  world.spec({ adapter: 'v1', strategy: strategyOf(analysis) }).state('v1', 'Resident');
  await world.settle();
  world.spec({ adapter: 'v2' }).state('v2', 'Resident');
  await world.settle();
  return world;
};

const counts = (requests: number, errors: number, seq = 1): WeightCounts[] => [
  {
    weight: 50,
    seq,
    stable: evenArm(requests, requests / 100).snapshot(),
    canary: evenArm(requests, errors).snapshot(),
  },
];

const report = (world: RolloutWorld, name: string, what: WeightCounts[]): void => {
  const before = world.fleet.get(runtimeKey(name))?.rollouts.get(sql);
  world.sync([name], { ...before, counts: what });
};

/** What a rollout sees of one runtime. */
const viewBy = (name: string, more: Partial<RuntimeState>) => {
  const state = aRuntimeState(runtimeKey(name), more);
  const { key } = state;
  const said = state.rollouts.get(sql);
  const runtimes = setOf({
    key,
    scope: undefined,
    labels: {},
    baseModel: 'tiny',
    presence: 'Connected',
    state,
  });
  const member = { runtimes, isServing: true, isSilent: false, target: undefined, stable: undefined };
  return {
    rollout: aRollout({ name: 'sql' }, { adapter: 'v2' }),
    members: [{ ...member, report: said && saidOf(said) }],
    apart: [],
    kept: nothingKept,
  };
};

const wait = async (world: RolloutWorld, seconds: number): Promise<void> => {
  for (let second = 0; second < seconds; second += 1) await world.advance(1000).run();
};

const errorsOf = (world: RolloutWorld) =>
  world.status.analysis?.find(({ name }) => name === 'errors') ?? expect.fail('errors were not measured');

describe('the judge over many runtimes', () => {
  it('gives up a canary that no runtime alone could tell from stable', async () => {
    const names = Array.from('abcd');
    const world = await judged(errorsOnly, ...names);
    for (const name of names) report(world, name, counts(400, 16));
    await wait(world, 11);
    expect(world.status).toMatchObject({
      phase: 'Degraded',
      weights: { canary: 0 },
      stable: { adapter: 'v1' },
    });
    expect(world.status.abort?.reason).toContain('1600 observations of the canary');
    expect(world.reasons).toContain('Aborted');

    const alone = await judged(errorsOnly, 'a');
    report(alone, 'a', counts(400, 16));
    await wait(alone, 11);
    expect(alone.status.weights.canary).toBe(50);
  });

  it('keeps what a runtime counted that went away, and what a former process of it counted', async () => {
    const world = await judged(errorsOnly, 'a', 'b');
    report(world, 'a', counts(900, 9));
    await wait(world, 11);
    world.leave('a');
    await wait(world, 11);
    const observations = (n: number) => expect.stringContaining(`${n} observations of the canary`) as string;
    expect(errorsOf(world).message).toEqual(observations(900));
    report(world, 'b', counts(500, 5));
    await wait(world, 11);
    expect(errorsOf(world).message).toEqual(observations(1400));
    world.fleet.report(runtimeKey('b'), { instance: 'another process' });
    report(world, 'b', counts(100, 1));
    await wait(world, 11);
    expect(errorsOf(world).message).toEqual(observations(1500));
  });

  it('keeps what many former processes of a runtime counted, in bounded memory', () => {
    const attempt = { uid: 'v2', digest: 'd', attempt: 1 };
    let counted: AttemptCounts | undefined;
    for (let start = 0; start < 50; start += 1) {
      const said = aRolloutState(rolloutUid, {
        canaryDigest: digestOf('v2'),
        attempt: 1,
        counts: counts(100, 1),
      });
      const view = viewBy('a', { instance: `process ${start}`, rollouts: new Map([[sql, said]]) });
      counted = attemptCountsOf(counted, view, { ...attempt, digest: digestOf('v2') });
      // A report that comes twice counts once.
      counted = attemptCountsOf(counted, view, { ...attempt, digest: digestOf('v2') });
    }
    const reports = counted?.reports ?? new Map();
    expect(reports.size).toBeLessThanOrEqual(5);
    const [stratum] = countersOf(reports);
    expect(total(stratum?.canary.requests ?? [])).toBe(5000);
  });

  /** A leader that is told by runtimes of the attempt. */
  const teller = () => {
    const attempt = { uid: 'v2', digest: digestOf('v2'), attempt: 1 };
    let counted: AttemptCounts | undefined;
    const tell = (name: string, instance: string, more: Partial<RolloutState>): void => {
      const said = aRolloutState(rolloutUid, { canaryDigest: attempt.digest, attempt: 1, ...more });
      const view = viewBy(name, { instance, rollouts: new Map([[sql, said]]) });
      counted = attemptCountsOf(counted, view, attempt);
    };
    return { tell, strata: () => countersOf(counted?.reports ?? new Map()) };
  };
  /** About answers of the first process of a. */
  const rewards = (...numbers: readonly number[]): Partial<RolloutState> => ({
    elsewhere: ToldRewards.of([
      {
        origin: originOf('first'),
        weight: 50,
        seq: numbers.length,
        rewards: numbers.map((number) => ({ number, bucket: 0, arm: 'canary', reward: 1 })),
      },
    ]),
  });
  /** It was told itself of its answer 1. */
  const ownOfFirst = (): Partial<RolloutState> => {
    const [canary, numbers] = [evenArm(100, 1), new RewardedNumbers()];
    canary.rewarded(0, 1);
    numbers.add(1);
    const rewarded = numbers.snapshot();
    if (rewarded === undefined) throw new Error('there is nothing');
    return { counts: counts(100, 1).map((one) => ({ ...one, canary: canary.snapshot(), rewarded })) };
  };
  const feedbacksOf = (all: ReturnType<typeof countersOf>) =>
    all.map(({ node, canary: arm }) => [node, total(arm.feedbacks)]);

  it('counts feedback that another runtime was told for the one that answered, once, also after a restart', () => {
    const { tell, strata } = teller();
    tell('a', 'first', ownOfFirst());
    tell('b', 'other', rewards(1, 2));
    tell('c', 'third', rewards(2, 3));
    // It does not know any more that it was told of 1.
    tell('a', 'second', rewards(1, 4));
    expect(feedbacksOf(strata())).toEqual([[runtimeKey('a'), 4]]);
    tell('b', 'other', rewards(1, 2, 5));
    expect(feedbacksOf(strata())).toEqual([[runtimeKey('a'), 5]]);
  });

  it('counts no answer twice when the counts of a process that is long gone were added up', () => {
    const { tell, strata } = teller();
    tell('a', 'first', ownOfFirst());
    tell('b', 'other', rewards(1, 2));
    for (let start = 0; start < 6; start += 1) tell('a', `start ${start}`, { counts: counts(100, 1) });
    expect(feedbacksOf(strata())).toEqual([[runtimeKey('a'), 2]]);
    // Everything is told again, everywhere.
    tell('a', 'start 6', { counts: counts(100, 1), ...rewards(1, 2) });
    tell('b', 'other', rewards(1, 2, 3));
    tell('c', 'third', rewards(1, 2, 3));
    expect(feedbacksOf(strata())).toEqual([[runtimeKey('a'), 2]]);
  });

  it('keeps what processes were told that are long gone themselves', () => {
    const { tell, strata } = teller();
    tell('a', 'first', ownOfFirst());
    for (let start = 0; start < 9; start += 1) tell('b', `start ${start}`, rewards(start, start + 1));
    expect(feedbacksOf(strata())).toEqual([[runtimeKey('a'), 10]]);
  });

  it('goes on from the status when another leader takes over, with what the runtimes report', async () => {
    const world = await judged(errorsOnly, 'a');
    report(world, 'a', counts(900, 9));
    await wait(world, 25);
    const { taken } = errorsOf(world);
    expect(taken).toBeGreaterThanOrEqual(3);
    world.takeOver();
    await wait(world, 11);
    expect(errorsOf(world)).toMatchObject({
      taken: taken + 1,
      message: expect.stringContaining('900 observations') as string,
    });
  });

  it('does not hold against a canary what was counted in an attempt before', async () => {
    const world = await judged(errorsOnly, 'a');
    report(world, 'a', counts(2000, 400));
    await wait(world, 11);
    expect(world.status.phase).toBe('Degraded');
    world.ask('retry@1');
    await wait(world, 5);
    expect(world.status).toMatchObject({ phase: 'Paused', weights: { canary: 50 } });
    expect(errorsOf(world)).toMatchObject({ phase: 'Running', failed: 0 });
  });

  it('writes each measurement once, and nothing between two of them', async () => {
    const world = await judged(errorsOnly, 'a');
    await wait(world, 11);
    const before = { writes: world.cluster.writes.length, revision: world.status.revision };
    await wait(world, 100);
    expect(world.cluster.writes.length - before.writes).toBe(10);
    expect(world.status.revision).toBe(before.revision);
  });
});

describe('a metric that a server has', () => {
  const fetched = {
    metrics: [
      {
        name: 'quality',
        source: {
          prometheus: { address: 'http://prometheus:9090', query: 'q{adapter="{{canary.adapter}}"}' },
        },
        judge: { threshold: { success: { atLeast: 0.8 } } },
        failureLimit: 1,
      },
    ],
  };

  it('is asked for beside the decisions, with the names of this rollout, and rolls back when it is bad', async () => {
    const world = new RolloutWorld('a').adapter('v1').adapter('v2');
    const asked: unknown[] = [];
    let answer = 0.9;
    world.measure = async (source, variables) => {
      asked.push([source, variables]);
      return answer;
    };
    world.controller.follow(() => undefined);
    world.spec({ adapter: 'v1', strategy: strategyOf(fetched) }).state('v1', 'Resident');
    await world.settle();
    world.spec({ adapter: 'v2' }).state('v2', 'Resident');
    await world.settle();
    await wait(world, 1);
    expect(asked).toEqual([
      [
        fetched.metrics[0]?.source,
        expect.objectContaining({ namespace: 'team-a', rollout: 'sql', 'canary.adapter': 'v2' }),
      ],
    ]);
    expect(world.status.analysis).toEqual([
      expect.objectContaining({ name: 'quality', value: 0.9, taken: 1 }),
    ]);
    answer = 0.1;
    await wait(world, 12);
    expect(world.status.weights.canary).toBe(50);
    await wait(world, 12);
    expect(world.status).toMatchObject({ phase: 'Degraded', weights: { canary: 0 } });
    expect(world.status.abort?.reason).toBe('metric quality: it is 0.1: success {"atLeast":0.8}');
  });

  it('never holds up an abort, whatever the server does', async () => {
    const world = await judged(fetched, 'a');
    world.measure = () => new Promise(() => undefined);
    await wait(world, 3);
    await world.ask('abort@1').run();
    expect(world.status).toMatchObject({ phase: 'Degraded', weights: { canary: 0 } });
  });
});
