import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { TestNode, yaml } from '../support/node.ts';
import { waitFor } from '../support/wait.ts';

type Span = {
  traceId: string;
  spanId: string;
  parentSpanId?: string;
  name: string;
  attributes: { key: string; value: { stringValue?: string } }[];
};

describe('what a node tells of itself', () => {
  const spans: Span[] = [];
  // The receiving end of OTLP/HTTP with JSON, as a collector has it.
  const collector = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const body = JSON.parse(Buffer.concat(chunks).toString()) as {
        resourceSpans: { scopeSpans: { spans: Span[] }[] }[];
      };
      spans.push(...body.resourceSpans.flatMap((r) => r.scopeSpans.flatMap((s) => s.spans)));
      response.setHeader('content-type', 'application/json').end('{}');
    });
  });
  let node: TestNode;

  beforeAll(async () => {
    await new Promise<void>((resolve) => collector.listen(0, '127.0.0.1', resolve));
    const endpoint = `http://127.0.0.1:${(collector.address() as AddressInfo).port}`;
    node = await TestNode.start({ env: { OTEL_EXPORTER_OTLP_ENDPOINT: endpoint } });
    await node.write(
      'adapters.yaml',
      yaml.adapter('upper', 'adapters/upper') +
        yaml.adapter('broken', 'variants/broken-dora', '  preload: {tier: Disk}\n'),
    );
    await node.write('shout.yaml', yaml.rollout('shout', 'upper', '{setWeight: 20}, {pause: {}}'));
    await waitFor('stable', async () => (await node.client.status()).rollouts[0]?.phase === 'Healthy');
  });
  afterAll(async () => {
    await node.dispose();
    collector.close();
  });

  it('sends a span for each request, with what served it, as a child of the caller’s', async () => {
    const traceId = '0af7651916cd43dd8448eb211c80319c';
    const headers = { traceparent: `00-${traceId}-b7ad6b7169203331-01` };
    const { served } = await node.client.ask({ model: 'shout', prompt: 'moon:', headers });
    const request = await waitFor('the span', () =>
      spans.find((s) => s.traceId === traceId && s.parentSpanId === 'b7ad6b7169203331'),
    );
    const values = request.attributes.map((a) => a.value.stringValue);
    expect(values).toEqual(expect.arrayContaining(['upper', served.digest, 'shout', 'stable']));
    const children = await waitFor('its children', () => {
      const found = spans.filter((s) => s.parentSpanId === request.spanId).map((s) => s.name);
      return found.length >= 2 && found;
    });
    expect(new Set(children).size).toBe(children.length);
  });

  it('has metrics with the names that others rely on', async () => {
    await node.client.ask({ model: 'shout', prompt: 'moon:' });
    const text = await (await fetch(`${node.http}/metrics`)).text();
    expect(text).toMatch(
      /^vllm:lora_requests_info\{max_lora="\d+",running_lora_adapters="upper",waiting_lora_adapters=""\} \d{10}(\.\d+)?$/m,
    );
    expect(text).toMatch(/^vllm:num_requests_running \d+$/m);
    expect(text).toMatch(/^vllm:num_requests_waiting \d+$/m);
    expect(text).toMatch(
      /^adaptlet_requests_total\{adapter="upper",rollout="shout",arm="stable",protocol="grpc",code="OK"\} \d+$/m,
    );
    expect(text).toMatch(/state="Failed"\} 1$/m);
    expect(text).toMatch(
      /^adaptlet_rollout_info\{namespace="default",name="shout",strategy="canary",phase="Healthy"\} 1$/m,
    );
  });

  it('counts what the engine decoded, and says that nothing is held once all is answered', async () => {
    const metric = async (name: string): Promise<number> => {
      const text = await (await fetch(`${node.http}/metrics`)).text();
      return Number(new RegExp(`^${name} (.*)$`, 'm').exec(text)?.[1]);
    };
    const before = await metric('adaptlet_decoded_tokens_total');
    await node.client.ask({ model: 'shout', prompt: 'moon:' });
    await waitFor('the counts', async () => (await metric('adaptlet_decoded_tokens_total')) > before);
    expect(await metric('adaptlet_decode_steps_total')).toBeGreaterThan(0);
    await waitFor('idleness', async () => (await metric('vllm:kv_cache_usage_perc')) === 0);
  });

  it('is live and ready', async () => {
    expect((await fetch(`${node.http}/livez`)).status).toBe(200);
    expect((await fetch(`${node.http}/readyz`)).status).toBe(200);
  });

  it('names a refused adapter by the code of its fault', async () => {
    const broken = (await node.client.status()).adapters.find((a) => a.key === 'default/broken');
    expect(broken).toMatchObject({ state: 'Failed', reason: 'ADAPTER_DORA' });
  });
});
