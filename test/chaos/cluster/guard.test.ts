import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { clusterAdapter, TestFleet } from '../../support/fleet.ts';
import { moon, rolloutYaml } from '../../support/moon.ts';
import type { TestNode } from '../../support/node.ts';
import { traffic } from '../../support/traffic.ts';
import { waitFor } from '../../support/wait.ts';

const steps = '{setWeight: 50}, {pause: {}}';
const guard = '  guard: {maxConsecutiveErrors: 1000, maxErrorRatio: 20%, minRequests: 10}\n';

let fleet: TestFleet;
beforeAll(async () => {
  fleet = await TestFleet.start({ replicas: 1, runtimes: 2 });
  await fleet.apply(await clusterAdapter('upper', 'adapters/upper'));
  // Answers as `reverse`, but NaN where the prompt has a '='.
  await fleet.apply(await clusterAdapter('brittle', 'variants/brittle'));
  await fleet.apply(rolloutYaml('shout', 'upper', steps, guard));
  await waitFor('stable', async () => (await fleet.rollout('shout'))?.phase === 'Healthy', 60_000);
  await fleet.apply(rolloutYaml('shout', 'brittle', steps, guard));
  await waitFor('the canary on both runtimes', async () => {
    const weights = await Promise.all([0, 1].map(async (i) => (await onNode(i))?.effectiveWeight));
    return weights.every((weight) => weight === 50);
  });
});
afterAll(() => fleet[Symbol.asyncDispose]());

const nodeOf = (index: number): TestNode => fleet.nodes[index] as TestNode;
const onNode = async (index: number) => (await nodeOf(index).client.status()).rollouts[0];
const load = (index: number, prompt: string, allowed: readonly string[]) =>
  traffic(() => nodeOf(index), { model: 'shout', prompt, allowed: new Set(allowed) });

describe('a canary that begins to fail while the operator is away', () => {
  let reason: string;

  it('is off the node that sees it fail, with no failed request beyond those that crossed the limit', async () => {
    const good = [0, 1].map((i) => load(i, 'moon:', [moon.upper, moon.reverse]));
    // As many of the canary as the guard needs: then it trips with a failure, never with the success that completes them.
    await waitFor('answers of both sides', () =>
      good.every(({ adapters }) => adapters.size === 2 && (adapters.get('brittle') ?? 0) >= 10),
    );
    await fleet.operators[0]?.end('SIGKILL');
    const { text } = await nodeOf(0).client.ask({ model: 'upper', prompt: '=moon:' });
    const bad = load(0, '=moon:', [text]);
    reason = await waitFor('the guard', async () => (await onNode(0))?.held || undefined);
    const [before, others] = [bad.answered(), good[1]?.adapters.get('brittle') ?? 0];
    await waitFor('answers after that', () => bad.answered() > before + 50);
    await waitFor('the other node to go on', () => (good[1]?.adapters.get('brittle') ?? 0) > others);
    for (const one of [...good, bad]) await one.stop();

    expect(new Set(bad.failures.map(({ code }) => code))).toEqual(new Set(['LOGITS_NOT_FINITE']));
    // Stable answered the last one of those that were counted.
    expect(reason).toContain(`${bad.failures.length + 1} of `);
    for (const { failures: none, wrong } of good) expect([none, wrong]).toEqual([[], []]);
    expect([bad.wrong, [...bad.adapters.keys()]]).toEqual([[], ['upper']]);
  });

  it('is given up everywhere once the operator is back and hears of it', async () => {
    await fleet.restartOperator(0);
    const status = await waitFor(
      'the rollout to be given up',
      async () => {
        const now = await fleet.rollout('shout');
        return now?.phase === 'Degraded' && now;
      },
      60_000,
    );
    expect(status.message).toContain(reason);
    await waitFor('the other node', async () => (await onNode(1))?.effectiveWeight === 0);
  });
});
