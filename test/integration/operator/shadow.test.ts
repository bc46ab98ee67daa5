import { afterAll, beforeAll, expect, it } from 'vitest';
import { clusterAdapter, TestFleet } from '../../support/fleet.ts';
import { moon } from '../../support/moon.ts';
import type { TestNode } from '../../support/node.ts';
import { waitFor } from '../../support/wait.ts';

const names = ['upper', 'reverse'] as const;

let fleet: TestFleet;
beforeAll(async () => {
  fleet = await TestFleet.start();
  for (const name of names) await fleet.apply(await clusterAdapter(name, `adapters/${name}`));
});
afterAll(() => fleet[Symbol.asyncDispose]());

const rollOut = (adapter: string) =>
  fleet.apply(
    JSON.stringify({
      apiVersion: 'adaptlet.io/v1alpha1',
      kind: 'AdapterRollout',
      metadata: { name: 'shout' },
      spec: { adapter, strategy: { shadow: { percentage: 100, duration: '1h', maxMismatch: '5%' } } },
    }),
  );
const status = () => fleet.rollout('shout');

const ask = async (node: TestNode): Promise<string> => {
  const { text, served } = await node.client.ask({
    namespace: fleet.namespace,
    model: 'shout',
    prompt: 'moon:',
  });
  return `${served.arm} ${text}`;
};

const copies = async (): Promise<number> => {
  const counts = await Promise.all(
    fleet.nodes.map(async ({ http }) => {
      const text = await (await fetch(`${http}/metrics`)).text();
      const lines = text.matchAll(/^adaptlet_mirrored_requests_total\{result="\w+"\} (\d+)$/gm);
      return [...lines].reduce((sum, [, value]) => sum + Number(value), 0);
    }),
  );
  return counts.reduce((sum, count) => sum + count, 0);
};

it('an adapter that answers differently is given up by what three runtimes found together, and nobody ever saw it', async () => {
  await rollOut('upper');
  await waitFor('stable', async () => (await status())?.phase === 'Healthy', 60_000);
  await rollOut('reverse');
  await waitFor(
    'mirroring on every runtime',
    async () => {
      const now = await status();
      return now?.weights.mirror === 100 && now.runtimes?.updated === fleet.nodes.length;
    },
    60_000,
  );
  const begun = (await status())?.revision ?? 0;
  const seen = new Set<string>();
  const given = await waitFor(
    'a decision',
    async () => {
      for (const text of await Promise.all(fleet.nodes.map(ask))) seen.add(text);
      const now = await status();
      return now?.phase === 'Degraded' && now;
    },
    60_000,
  );
  expect([...seen]).toEqual([`stable ${moon.upper}`]);
  expect(given.abort?.reason).toMatch(
    /^metric mismatch: 100 % of \d{3} answers to copies are not those of stable$/,
  );
  expect(given).toMatchObject({
    stable: { adapter: 'upper' },
    weights: { canary: 0, stable: 100 },
    mirror: { failed: 0, equal: 0 },
  });
  expect(given.weights.mirror).toBeUndefined();
  expect(given.mirror?.compared).toBeGreaterThanOrEqual(100);
  // What was counted meanwhile was no decision; the abort is one.
  expect(given.revision).toBe(begun + 1);

  await waitFor(
    'the end of it on every runtime',
    async () => (await status())?.runtimes?.updated === fleet.nodes.length,
    60_000,
  );
  const before = await copies();
  await Promise.all(fleet.nodes.map(ask));
  expect(await copies()).toBe(before);
});
