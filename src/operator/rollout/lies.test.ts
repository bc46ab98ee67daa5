import { describe, expect, it } from 'vitest';
import { fakeDigest } from '../../api/names.fixture.ts';
import { type RolloutSpec, rolloutSpecSchema } from '../../api/rollout.ts';
import type { ArmCounter } from '../../rollout/judge/counts.ts';
import { evenArm } from '../../rollout/judge/judge.fixture.ts';
import type { WeightCounts } from '../../rollout/judge/reports.ts';
import { runtimeKey } from '../testing/fake-fleet.ts';
import { digestOf, RolloutWorld, sql } from './world.fixture.ts';

/** What runtimes may say that is not so, and what one of ten of them, or of five, achieves by it: nothing. */
const kinds = [
  ['a node', (i: number) => `n${i}`],
  ['a pod', (i: number) => `team-a/p${i}`],
] as const;
const namesOf = (nameOf: (i: number) => string, count = 10) =>
  Array.from({ length: count }, (_, i) => nameOf(i));

const strategyOf = (strategy: object): RolloutSpec['strategy'] =>
  rolloutSpecSchema.parse({ adapter: 'v2', strategy }).strategy;
const judgedStep = (analysis: object) =>
  strategyOf({ canary: { steps: [{ setWeight: 50 }, { analysis }, { pause: {} }] } });
const usual = judgedStep({ duration: '2m' });

/** v2 is the canary and is judged. */
const judged = async (strategy: RolloutSpec['strategy'], names: readonly string[]): Promise<RolloutWorld> => {
  const world = new RolloutWorld(...names).adapter('v1').adapter('v2');
  world.spec({ adapter: 'v1', strategy }).state('v1', 'Resident');
  await world.settle();
  world.spec({ adapter: 'v2' }).state('v2', 'Resident');
  await world.settle();
  return world;
};

type Arms = { readonly stable: ArmCounter; readonly canary: ArmCounter };
const report = (world: RolloutWorld, name: string, { stable, canary }: Arms, seq = 1): void => {
  const counts: WeightCounts[] = [{ weight: 50, seq, stable: stable.snapshot(), canary: canary.snapshot() }];
  world.sync([name], { ...world.fleet.get(runtimeKey(name))?.rollouts.get(sql), counts });
};
/** `requests` of each arm, so many of the canary's failed or took longer, each with a reward. */
const arms = (
  requests: number,
  { errors = 0, slower = 1, reward = 0.5 }: { errors?: number; slower?: number; reward?: number } = {},
): Arms => {
  const stable = evenArm(requests, Math.round(requests / 100), (i) => 100 + (i % 50));
  const canary = evenArm(requests, Math.round(requests / 100) + errors, (i) => (100 + (i % 50)) * slower);
  for (let i = 0; i < requests; i += 1) {
    stable.rewarded(i % 64, 0.5 + (i % 2 === 0 ? 0.1 : -0.1));
    canary.rewarded(i % 64, reward + (i % 2 === 0 ? 0.1 : -0.1));
  }
  return { stable, canary };
};
const wait = async (world: RolloutWorld, seconds: number): Promise<void> => {
  for (let second = 0; second < seconds; second += 5) await world.advance(5000).run();
};

const rewards = judgedStep({ duration: '2m', metrics: [{ name: 'r', source: { builtin: 'Reward' } }] });
const p99 = judgedStep({
  duration: '2m',
  metrics: [
    {
      name: 'p',
      source: { builtin: 'Latency' },
      judge: { threshold: { quantile: 'P99', success: { atMost: 500 } } },
    },
  ],
});
/** A thousand times the requests of the others. */
const many = 200_000;
const flooded = (stable: number, canary: number): Arms => ({
  stable: evenArm(stable, 0),
  canary: evenArm(canary, 0),
});

describe.each(kinds)('false counts of %s', (_, nameOf) => {
  it.each([
    ['errors of the canary', usual, arms(many, { errors: many / 2 })],
    ['a slow canary', usual, arms(many, { slower: 10 })],
    ['a split that is none', usual, flooded(many, 0)],
    ['a split that is another one', usual, flooded(many, 100)],
    ['bad rewards', rewards, arms(many, { reward: -1000 })],
    ['a slow tail', p99, arms(many, { slower: 100 })],
  ])('do not stop a healthy canary: %s', async (_what, strategy, lie) => {
    const names = namesOf(nameOf);
    const world = await judged(strategy, names);
    for (const name of names) report(world, name, arms(200));
    report(world, names[0] ?? '', lie);
    await wait(world, 150);
    expect(world.status.abort).toBeUndefined();
    expect(world.status).toMatchObject({ phase: 'Paused', step: { index: 2 } });
  });

  it.each([
    [
      'no errors',
      usual,
      arms(200, { errors: 30 }),
      { stable: evenArm(many, many / 2), canary: evenArm(many, 0) },
    ],
    ['a fast canary', usual, arms(200, { slower: 2 }), arms(many, { slower: 0.01 })],
    ['good rewards', rewards, arms(200, { reward: 0.1 }), arms(many, { reward: 1000 })],
    ['rewards all over the place', rewards, arms(200, { reward: 0.1 }), wild()],
    ['a fast tail', p99, arms(200, { slower: 10 }), arms(many, { slower: 0.01 })],
  ])('do not save a bad one: %s', async (_what, strategy, truth, lie) => {
    const names = namesOf(nameOf);
    const world = await judged(strategy, names);
    for (const name of names) report(world, name, truth);
    report(world, names[0] ?? '', lie);
    await wait(world, 120);
    expect(world.status).toMatchObject({ phase: 'Degraded', weights: { canary: 0 } });
  });

  it('do not make a sample of too little', async () => {
    const names = namesOf(nameOf);
    const world = await judged(usual, names);
    for (const name of names) report(world, name, arms(2));
    report(world, names[0] ?? '', arms(many));
    await wait(world, 150);
    expect(world.status.conditions.find(({ type }) => type === 'Paused')?.reason).toBe('AwaitingVerdict');
  });

  it('are named, and set aside', async () => {
    const names = namesOf(nameOf);
    const world = await judged(usual, names);
    for (const name of names) report(world, name, arms(400));
    report(world, names[3] ?? '', arms(400_000, { errors: 200_000 }));
    await wait(world, 30);
    expect(world.status.failures).toEqual([
      {
        runtime: runtimeKey(names[3] ?? ''),
        reason: 'CountsDiffer',
        message: expect.stringMatching(
          /^errorRatio of the canary differs by 0\.5 from stable there/,
        ) as string,
      },
    ]);
    expect(world.status.runtimes?.setAside).toBe(1);
  });

  it('decide nothing among five, of which three say the same', async () => {
    const names = namesOf(nameOf, 5);
    const world = await judged(usual, names);
    for (const name of names.slice(1)) report(world, name, arms(500));
    report(world, names[0] ?? '', arms(many, { errors: many / 2 }));
    await wait(world, 150);
    expect(world.status).toMatchObject({ phase: 'Paused', step: { index: 2 } });
  });
});

function wild(): Arms {
  const { stable, canary } = arms(200);
  for (let i = 0; i < 200; i += 1)
    for (const arm of [stable, canary]) arm.rewarded(i % 64, i % 2 === 0 ? 1e40 : -1e40);
  return { stable, canary };
}

describe.each(kinds)('false copies of %s', (_, nameOf) => {
  const shadow = strategyOf({
    shadow: { percentage: 50, duration: '2m', maxMismatch: '10%', promote: true },
  });
  const copies = (compared: number, equal: number) => ({
    percentage: 50,
    requests: compared,
    failed: 0,
    dropped: 0,
    compared,
    equal,
    similarity: equal,
    timed: 0,
    stableMs: 0,
    canaryMs: 0,
  });
  const mirrored = async (honest: number, lie: number): Promise<RolloutWorld> => {
    const names = namesOf(nameOf);
    const world = await judged(shadow, names);
    const tell = (name: string, compared: number, equal: number) =>
      world.sync([name], {
        ...world.fleet.get(runtimeKey(name))?.rollouts.get(sql),
        mirror: copies(compared, equal),
      });
    for (const name of names) tell(name, 50, honest);
    tell(names[0] ?? '', 50_000, lie);
    await wait(world, 150);
    return world;
  };

  it('do not stop a canary that answers as stable does', async () => {
    expect((await mirrored(50, 0)).status).toMatchObject({ stable: { adapter: 'v2' } });
  });

  it('do not save one that does not', async () => {
    expect((await mirrored(25, 50_000)).status).toMatchObject({
      phase: 'Degraded',
      stable: { adapter: 'v1' },
    });
  });
});

describe.each(kinds)('other lies of %s', (_, nameOf) => {
  const names = namesOf(nameOf);
  const [liar = ''] = names;
  const refused = { reason: 'ADAPTER_SHAPE', message: 'q_proj', isFinal: true };
  const isUntouched = async (world: RolloutWorld): Promise<void> => {
    await world.settle();
    await wait(world, 30);
    expect(world.status.abort).toBeUndefined();
    expect(world.status).toMatchObject({ canary: { adapter: 'v2' }, weights: { canary: 50 } });
  };

  it.each([
    ['a digest that nobody has', fakeDigest('9')],
    ['the digest of stable', digestOf('v1')],
  ])('about %s are about nothing', async (_what, digest) => {
    const world = await judged(usual, names);
    world.state('v2', 'Failed', [liar], { ...refused, digest });
    const hold = { digest, cause: 'Guard', reason: 'errors', attempt: 1 } as const;
    world.sync([liar], { canaryDigest: digest, holds: [hold] });
    await isUntouched(world);
  });

  it('about adapters and rollouts that are not in its plan are about nothing', async () => {
    const world = await judged(usual, names);
    const before = world.fleet.get(runtimeKey(liar));
    const [state] = before?.adapters.values() ?? [];
    const [rollout] = before?.rollouts.values() ?? [];
    if (state === undefined || rollout === undefined) throw new Error('nothing was reported');
    const forged = Array.from({ length: 100 }, (_x, i) => `team-b/forged-${i}` as typeof sql);
    const failed = { ...state, state: 'Failed', ...refused };
    world.fleet.report(runtimeKey(liar), {
      adapters: new Map([...(before?.adapters ?? []), ...forged.map((key) => [key, failed] as const)]),
      rollouts: new Map([...(before?.rollouts ?? []), ...forged.map((key) => [key, rollout] as const)]),
    });
    await isUntouched(world);
    expect(world.status.failures).toBeUndefined();
    expect(world.status.runtimes).toMatchObject({ desired: 10, ready: 10 });
  });

  it('about another attempt, before or after, abort nothing', async () => {
    const world = await judged(usual, names);
    const hold = { digest: digestOf('v2'), cause: 'Guard', reason: 'errors', attempt: 999 } as const;
    world.sync([liar], { attempt: 999, holds: [hold] });
    await isUntouched(world);
    world.sync([liar], { attempt: 0, holds: [{ ...hold, attempt: 0 }] });
    await isUntouched(world);
  });

  it('that repeat what was counted before take nothing back', async () => {
    const world = await judged(usual, names);
    for (const name of names) report(world, name, arms(200, { errors: 1 }), 7);
    await wait(world, 11);
    report(world, liar, arms(10), 3);
    await wait(world, 11);
    const message = world.status.analysis?.find(({ name }) => name === 'error-ratio')?.message;
    expect(message).toContain('2000 observations of the canary');
  });

  it('by silence hold nothing up: one that says nothing of the canary is gone on without', async () => {
    const world = await judged(usual, names);
    for (const name of names) report(world, name, arms(200));
    world.fleet.report(runtimeKey(liar), { adapters: new Map(), rollouts: new Map() });
    await world.run();
    expect(world.status.message).toContain('does not know it yet');
    await wait(world, 615);
    await wait(world, 150);
    expect(world.status).toMatchObject({ phase: 'Paused', step: { index: 2 } });
  });
});
