import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { freePort } from '../../cluster/ports.ts';
import { TestNode, yaml } from '../../support/node.ts';
import { waitFor } from '../../support/wait.ts';
import { Serving } from '../model/serving.ts';
import { type Endpoint, pick, scrape, seriesOf } from './picker.ts';

const names = ['a', 'b', 'c'] as const;
type Name = (typeof names)[number];
const nodes = new Map<Name, TestNode>();
const nodeOf = (name: Name): TestNode => {
  const node = nodes.get(name);
  if (node === undefined) throw new Error(`${name} was not started`);
  return node;
};

const adapters = yaml.adapter('upper', 'adapters/upper') + yaml.adapter('reverse', 'adapters/reverse');
/** Keeps what it serves in RAM. */
const rollout = yaml.rollout('shout', 'upper', '{setWeight: 50}, {pause: {}}');

const start = async (
  name: Name,
  manifests = adapters,
  settings: Readonly<Record<string, string>> = {},
): Promise<TestNode> => {
  // Single adapters come into RAM by requests alone.
  const node = await TestNode.start({ settings: { 'log-level': 'info', prefetch: 'off', ...settings } });
  nodes.set(name, node);
  await node.write('all.yaml', manifests);
  await waitFor(`the adapters of ${name}`, async () => (await node.client.status()).adapters.length === 2);
  return node;
};
const ask = async (name: Name, model: string) =>
  waitFor(
    `${model} on ${name}`,
    async () => (await nodeOf(name).client.ask({ model, prompt: 'moon:' })).text !== '',
  );

const metricsOf = async (name: Name): Promise<string> => (await fetch(`${nodeOf(name).http}/metrics`)).text();

/** All endpoints as a picker knows them after a scrape of each, of which `change` may take something away. */
const scraped = async (change: (text: string, name: Name) => string = (text) => text) => {
  const endpoints = new Map<Name, Endpoint>();
  for (const name of names) {
    const { endpoint, errors } = scrape(change(await metricsOf(name), name));
    expect({ name, errors }).toEqual({ name, errors: [] });
    if (endpoint !== undefined) endpoints.set(name, endpoint);
  }
  return endpoints;
};

beforeAll(async () => {
  const a = await start('a', adapters + rollout);
  await ask('a', 'upper');
  const status = await a.client.status();
  const bytes = Number(status.adapters.find((one) => one.residentBytes > 0n)?.residentBytes ?? 0);
  expect(bytes).toBeGreaterThan(0);
  // Has room for reverse, which takes twice as much as upper, and not for both.
  await start('b', adapters, { 'adapter-memory': String(Math.floor(bytes * 2.5)) });
  await ask('b', 'reverse');
  await start('c');
});
afterAll(async () => {
  for (const node of nodes.values()) await node.dispose();
});

describe('an endpoint picker', () => {
  it('sends a request to the runtime that has its adapter, by every name of it', async () => {
    const endpoints = await scraped();
    for (const model of ['upper', 'default/upper', 'shout', 'default/shout'])
      expect([model, pick(endpoints, model)]).toEqual([model, ['a']]);
    expect(pick(endpoints, 'reverse')).toEqual(['b']);
  });

  it('sends one whose adapter nobody has to a runtime with room, and not to one that is full', async () => {
    expect(pick(await scraped(), 'other').toSorted()).toEqual(['a', 'c']);
  });

  it('loses no runtime whose metric of adapters is gone, and takes another one then', async () => {
    const without = await scraped((text, name) =>
      name === 'a' ? text.replaceAll(/^vllm:lora_requests_info.*\n/gm, '') : text,
    );
    expect([...without.keys()]).toEqual(['a', 'b', 'c']);
    expect(pick(without, 'upper')).toEqual(['c']);
  });

  it('finds one series of adapters, the present one, however often they changed', async () => {
    await ask('c', 'upper');
    await ask('c', 'reverse');
    const series = seriesOf(await metricsOf('c'), 'vllm:lora_requests_info');
    expect(series).toHaveLength(1);
    expect(series[0]?.labels.get('running_lora_adapters')?.split(',')).toEqual(
      expect.arrayContaining(['upper', 'reverse']),
    );
    expect(Math.abs((series[0]?.value ?? 0) - Date.now() / 1000)).toBeLessThan(60);
  });

  it('finds what it needs also of a runtime that has no adapter at all', async () => {
    const node = await TestNode.start({ settings: { 'log-level': 'info' } });
    try {
      const { errors, endpoint } = scrape(await (await fetch(`${node.http}/metrics`)).text());
      expect(errors).toEqual([]);
      expect(endpoint).toMatchObject({ queue: 0, running: 0, kvUsage: 0, blockSize: 16 });
      expect(endpoint?.blocks).toBeGreaterThan(0);
    } finally {
      await node.dispose();
    }
  });

  it('finds it also of a runtime whose base model is not loaded yet', async () => {
    const away = `127.0.0.1:${await freePort()}`;
    await using serving = await Serving.start(`oci://${away}/models/tiny:v1`);
    await serving.says(/base model/);
    const { errors, endpoint } = scrape(await (await serving.get('/metrics')).text());
    expect(errors).toEqual([]);
    expect(endpoint).toMatchObject({ queue: 0, running: 0, kvUsage: 0, blockSize: 16 });
    expect((await serving.readyz()).ok).toBe(false);
  });

  it('reads which base model each name belongs to', async () => {
    const { data } = (await (await fetch(`${nodeOf('a').http}/v1/models`)).json()) as {
      data: readonly { id: string; parent: string | null }[];
    };
    const parents = new Map(data.map(({ id, parent }) => [id, parent]));
    expect(parents.get('tiny')).toBeNull();
    for (const name of ['upper', 'reverse', 'shout'])
      expect([name, parents.get(name)]).toEqual([name, 'tiny']);
  });
});

describe('the restated rules', () => {
  const metrics = (lora: string) =>
    `vllm:num_requests_waiting 0\nvllm:num_requests_running 0\nvllm:kv_cache_usage_perc 0\nvllm:cache_config_info{block_size="16",num_gpu_blocks="9"} 1\n${lora}`;

  it('take a scrape without a queue, keys and values, or cache for an error: what is known goes stale', () => {
    expect(scrape('').errors).toEqual([
      'vllm:num_requests_waiting is absent',
      'vllm:num_requests_running is absent',
      'vllm:kv_cache_usage_perc is absent',
      'vllm:cache_config_info is absent',
    ]);
    expect(scrape(metrics('')).endpoint).toMatchObject({ max: 0, blocks: 9 });
  });

  it('take the series with the largest value, and a max_lora that is no whole number for an error', () => {
    const two =
      'vllm:lora_requests_info{max_lora="4",running_lora_adapters="old",waiting_lora_adapters=""} 100\nvllm:lora_requests_info{max_lora="4",running_lora_adapters=" new , ",waiting_lora_adapters=""} 200';
    expect([...(scrape(metrics(two)).endpoint?.active ?? [])]).toEqual(['new']);
    expect(scrape(metrics('vllm:lora_requests_info{max_lora="4.5"} 1')).errors).toEqual([
      'max_lora is no whole number',
    ]);
  });
});
