import { afterAll, beforeAll, expect, it } from 'vitest';
import { TestNode } from '../support/node.ts';
import { waitFor } from '../support/wait.ts';

/** Keys and values of one request that fills the context of the tiny model: a second one has no room to begin. */
const kvMemory = '128Ki';

let node: TestNode;
beforeAll(async () => {
  node = await TestNode.start({ settings: { 'kv-memory': kvMemory } });
});
afterAll(() => node.dispose());

const gauge = (text: string, name: string): number =>
  Number(
    text
      .split('\n')
      .find((line) => line.startsWith(`${name} `))
      ?.split(' ')[1],
  );

it('a node whose memory holds one request at a time says that one runs and the others wait, and what more would take', async () => {
  // The model's own end token is not drawn.
  const body = JSON.stringify({ model: 'tiny', prompt: 'moon:', max_tokens: 240, logit_bias: { 2: -100 } });
  const headers = { 'content-type': 'application/json' };
  const ask = async (): Promise<number> =>
    (await fetch(`${node.http}/v1/completions`, { method: 'POST', headers, body })).status;
  const asked = Promise.all(Array.from({ length: 6 }, ask));
  const metrics = async () => {
    const text = await (await fetch(`${node.http}/metrics`)).text();
    return ['running', 'waiting'].map((state) => gauge(text, `vllm:num_requests_${state}`));
  };
  await waitFor('requests that wait', async () => {
    const [running, waiting] = await metrics();
    return running === 1 && (waiting ?? 0) >= 3;
  });
  for (let scrape = 0; scrape < 20; scrape += 1) expect((await metrics())[0]).toBeLessThanOrEqual(1);
  expect(await asked).toEqual(Array.from({ length: 6 }, () => 200));
  expect((await node.client.status()).shortages).toEqual([
    {
      flag: '--kv-memory',
      effect: 'requests wait while rows are free',
      neededBytes: 229_376n,
      budgetBytes: 131_072n,
    },
  ]);
  const warnings = node.log.filter((line) => line.includes('keeps requests from running together'));
  expect(warnings).toHaveLength(1);
});
