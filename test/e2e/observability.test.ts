import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Collector } from '../support/collector.ts';
import { TestNode, yaml } from '../support/node.ts';
import { waitFor } from '../support/wait.ts';

const law = `apiVersion: adaptlet.io/v1alpha1
kind: AdapterRoute
metadata: {name: assistant}
spec:
  model: assistant
  classifiers:
  - name: topic
    minConfidence: 0.5
    keywords: {labels: [{name: law, terms: [{text: court}]}]}
  rules:
  - name: lawyers
    matches: [{classifier: {name: topic, labels: [law]}}]
    targets: [{rollout: shout}]
---
`;

describe('what a node tells of itself', () => {
  let collector: Collector;
  let node: TestNode;

  beforeAll(async () => {
    collector = await Collector.start();
    node = await TestNode.start({ env: { OTEL_EXPORTER_OTLP_ENDPOINT: collector.endpoint } });
    await node.write(
      'adapters.yaml',
      yaml.adapter('upper', 'adapters/upper') +
        yaml.adapter('broken', 'variants/broken-dora', '  preload: {tier: Disk}\n'),
    );
    await node.write('shout.yaml', yaml.rollout('shout', 'upper', '{setWeight: 20}, {pause: {}}') + law);
    await waitFor('stable', async () => (await node.client.status()).rollouts[0]?.phase === 'Healthy');
  });
  afterAll(async () => {
    await node.dispose();
    collector[Symbol.dispose]();
  });

  it('sends one trace of a request, from the header of its caller to the last token', async () => {
    const traceId = '0af7651916cd43dd8448eb211c80319c';
    const response = await fetch(`${node.http}/v1/chat/completions`, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        traceparent: `00-${traceId}-b7ad6b7169203331-01`,
      },
      body: JSON.stringify({
        model: 'assistant',
        messages: [{ role: 'user', content: 'in court: moon:' }],
        max_tokens: 8,
      }),
    });
    const { usage } = (await response.json()) as {
      usage: { prompt_tokens: number; completion_tokens: number };
    };
    const names = ['request', 'route', 'load', 'generate', 'queue', 'prefill', 'decode'];
    const trace = await waitFor('the trace', () => {
      const found = collector.trace(traceId);
      return names.every((name) => found.has(`adaptlet.${name}`)) && found;
    });
    const span = (name: string) => trace.get(`adaptlet.${name}`) ?? expect.fail(`there is no span ${name}`);
    expect(trace.size).toBe(names.length);
    expect(span('request')).toMatchObject({ parentSpanId: 'b7ad6b7169203331', service: 'adaptlet-runtime' });
    for (const part of ['route', 'load', 'generate'])
      expect(span(part).parentSpanId).toBe(span('request').spanId);
    for (const part of ['queue', 'prefill', 'decode'])
      expect(span(part).parentSpanId).toBe(span('generate').spanId);
    const inOrder = ['route', 'load', 'generate'].map(span);
    for (const [i, one] of inOrder.entries()) expect(one.start >= (inOrder[i - 1]?.start ?? 0n)).toBe(true);
    expect(span('decode').end > span('prefill').start).toBe(true);

    const { headers } = response;
    expect(span('request').attributes).toMatchObject({
      'adaptlet.rule': 'lawyers',
      'adaptlet.classified': headers.get('x-adaptlet-classified'),
      'adaptlet.classifier.scores': [expect.any(Number)],
      'adaptlet.adapter': 'upper',
      'adaptlet.digest': headers.get('x-adaptlet-digest'),
      'adaptlet.rollout': 'shout',
      'adaptlet.arm': 'stable',
      'adaptlet.queue_ms': expect.any(Number),
      'gen_ai.operation.name': 'chat',
      'gen_ai.request.model': 'assistant',
      'gen_ai.response.id': headers.get('x-adaptlet-request-id'),
      'gen_ai.usage.input_tokens': usage.prompt_tokens,
      'gen_ai.usage.output_tokens': usage.completion_tokens,
    });
    const [line] = node.log
      .filter((text) => text.includes('request answered') && text.includes(traceId))
      .map((text) => JSON.parse(text) as Record<string, unknown>);
    expect(line).toMatchObject({
      trace_id: traceId,
      span_id: span('request').spanId,
      id: headers.get('x-adaptlet-request-id'),
    });
    expect(collector.refused).toEqual([]);
  });

  it('has metrics with the names that others rely on', async () => {
    await node.client.ask({ model: 'shout', prompt: 'moon:' });
    const text = await (await fetch(`${node.http}/metrics`)).text();
    expect(text).toMatch(
      /^vllm:lora_requests_info\{max_lora="\d+",running_lora_adapters="upper,default\/upper,shout,default\/shout",waiting_lora_adapters=""\} \d{10}(\.\d+)?$/m,
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
