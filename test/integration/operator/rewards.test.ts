import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { clusterAdapter, TestFleet } from '../../support/fleet.ts';
import { moon } from '../../support/moon.ts';
import type { TestNode } from '../../support/node.ts';
import { waitFor } from '../../support/wait.ts';

const names = ['upper', 'reverse', 'digits'] as const;
const users = Array.from({ length: 120 }, (_, i) => `u${i}`);

let fleet: TestFleet;
beforeAll(async () => {
  fleet = await TestFleet.start();
  for (const name of names) await fleet.apply(await clusterAdapter(name, `adapters/${name}`));
});
afterAll(() => fleet[Symbol.asyncDispose]());

const rollOut = (adapter: string, strategy: object) =>
  fleet.apply(
    JSON.stringify({
      apiVersion: 'adaptlet.io/v1alpha1',
      kind: 'AdapterRollout',
      metadata: { name: 'shout' },
      spec: { adapter, strategy },
    }),
  );

/** Half of the callers, judged by what they send; on one node alone too few of them ask. */
const byRewards = {
  canary: {
    steps: [{ setWeight: 50 }, { pause: {} }],
    analysis: {
      metrics: [
        {
          name: 'quality',
          source: { builtin: 'Reward' },
          interval: '1s',
          judge: { sequential: { minSampleSize: 100 } },
        },
      ],
    },
  },
};

const phase = (wanted: string, stable: string) =>
  waitFor(
    `phase ${wanted} with ${stable}`,
    async () => {
      const status = await fleet.rollout('shout');
      return status?.phase === wanted && status.stable?.adapter === stable && status;
    },
    60_000,
  );

const post = async (node: TestNode, path: string, body: object) => {
  const response = await fetch(`${node.http}/v1/${path}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'x-adaptlet-namespace': fleet.namespace },
    body: JSON.stringify(body),
  });
  const answer = (await response.json()) as { id: string; choices: { text: string }[] };
  if (!response.ok) throw new Error(JSON.stringify(answer));
  return answer;
};

/** Every user asks once on the node and tells some nodes what the answer is worth, with a little noise. */
const askAll = async (
  node: TestNode,
  worth: Readonly<Record<string, number>>,
  told: readonly TestNode[] = [node],
): Promise<void> => {
  for (const [i, user] of users.entries()) {
    const { id, choices } = await post(node, 'completions', {
      model: 'shout',
      prompt: 'moon:',
      user,
      temperature: 0,
    });
    const reward = (worth[choices[0]?.text ?? ''] ?? expect.fail(`${choices[0]?.text}`)) + (i % 2) / 10;
    for (const one of told) await post(one, 'feedback', { id, reward });
  }
};

const begin = async (adapter: string, strategy: object): Promise<void> => {
  await rollOut(adapter, strategy);
  await waitFor(
    'the canary to have half of the callers on every runtime',
    async () => {
      const applied = await Promise.all(
        fleet.nodes.map(async (node) => {
          const { rollouts } = await node.client.status();
          return rollouts.find((r) => r.key.endsWith('/shout'))?.effectiveWeight;
        }),
      );
      return applied.every((w) => w === 50);
    },
    60_000,
  );
};

describe('callers on three runtimes who say what answers are worth', () => {
  it('have a canary rolled back that they like less, which no runtime could tell alone', async () => {
    await rollOut('upper', byRewards);
    await phase('Healthy', 'upper');
    await begin('reverse', byRewards);
    const worth = { [moon.upper]: 0.9, [moon.reverse]: 0.1 };
    const [first, ...others] = fleet.nodes;
    if (first === undefined) throw new Error('no node');
    await askAll(first, worth);
    const early = await waitFor('the rewards of the first runtime', async () => {
      const metric = (await fleet.rollout('shout'))?.analysis?.find(({ name }) => name === 'quality');
      return metric?.message.includes('100 of each are needed') === true && metric;
    });
    expect(early).toMatchObject({ phase: 'Running', failed: 0 });
    await Promise.all(others.map((node) => askAll(node, worth)));
    const status = await phase('Degraded', 'upper');
    expect(status).toMatchObject({ weights: { canary: 0 }, completionStatus: 'Aborted' });
    expect(status.abort?.reason).toMatch(/^metric quality: reward of the canary differs by -0\.[78]/);
  });

  it('decide an A/B test, whose report stays in the status; whoever is told, and two of them, each answer counts once', async () => {
    const abTest = { duration: '15s', promoteWinner: true, goal: { minSampleSize: 50 } };
    await begin('digits', { abTest });
    const worth = { [moon.upper]: 0.4, [moon.digits]: 0.6 };
    const told = fleet.nodes.slice(0, 2);
    await Promise.all(fleet.nodes.map((node) => askAll(node, worth, told)));
    const status = await phase('Healthy', 'digits');
    const { variants } = status.analysis?.find(({ name }) => name === 'reward') ?? {};
    expect(variants?.stable?.mean).toBeCloseTo(0.45, 1);
    expect(variants?.canary?.mean).toBeCloseTo(0.65, 1);
    const count = (variants?.stable?.count ?? 0) + (variants?.canary?.count ?? 0);
    expect(count).toBe(users.length * fleet.nodes.length);
    expect(variants?.canary?.low).toBeGreaterThan(variants?.stable?.high ?? Number.POSITIVE_INFINITY);
  });
});
