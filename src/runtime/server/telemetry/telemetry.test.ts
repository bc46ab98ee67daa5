import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text as readText } from 'node:stream/consumers';
import {
  InMemorySpanExporter,
  type ReadableSpan,
  SimpleSpanProcessor,
  type SpanProcessor,
} from '@opentelemetry/sdk-trace';
import { expect, it } from 'vitest';
import { aRollout, aStatus } from '../../../plan/manifests.fixture.ts';
import { tracesTo } from '../../../telemetry/span-export.ts';
import { openTraces } from '../../../telemetry/traces.ts';
import { systemClock } from '../../../time/clock.ts';
import { FakeClock } from '../../../time/fake-clock.ts';
import { fakeDigest } from '../testing/fake-serving.ts';
import { fakeGauges } from '../testing/parts.ts';
import { labelBudgets } from './counters.ts';
import { metrics, spans } from './names.ts';
import { closeTimeoutMs, createTelemetry } from './telemetry.ts';

const served = {
  adapter: 'upper',
  digest: fakeDigest('a'),
  rollout: 'sql',
  arm: 'canary',
  rule: 'r',
} as const;
const build = { service: 'adaptlet-runtime', version: '0.1.0', instance: 'i1' };
const context = { namespace: 'default', model: 'sql', headers: new Map() };

const start = (exporter?: InMemorySpanExporter) => {
  const clock = new FakeClock();
  let gauges = fakeGauges;
  const telemetry = createTelemetry({
    version: '0.1.0',
    instance: 'i1',
    clock,
    gauges: () => gauges,
    ...(exporter === undefined ? {} : { traces: tracesTo(new SimpleSpanProcessor({ exporter }), build) }),
  });
  const request = (headers = new Map<string, string>()) =>
    telemetry.request({ protocol: 'grpc', method: 'm', headers });
  return { clock, telemetry, request, read: (r: typeof fakeGauges) => void (gauges = r) };
};

it('a served request counts once, with its times and tokens', async () => {
  const { clock, telemetry, request } = start();
  const record = request();
  record.routing(context);
  clock.advance(20);
  record.acquired('r1', served);
  clock.advance(20);
  record.token();
  record.token();
  clock.advance(200);
  record.end({ code: 'OK', promptTokens: 5, completionTokens: 2 });
  record.end({ code: 'INTERNAL', promptTokens: 5, completionTokens: 2 });
  const text = await telemetry.metricsText();
  const arm = 'adapter="upper",rollout="sql",arm="canary"';
  expect(text).toContain(`adaptlet_requests_total{${arm},protocol="grpc",code="OK"} 1`);
  expect(text).toContain(`adaptlet_request_duration_seconds_bucket{${arm},code="OK",le="0.25"} 1`);
  expect(text).toContain(`adaptlet_request_duration_seconds_bucket{${arm},code="OK",le="0.1"} 0`);
  expect(text).toContain(`adaptlet_time_to_first_token_seconds_sum{${arm}} 0.04`);
  expect(text).toContain(`adaptlet_tokens_total{${arm},kind="prompt"} 5`);
  expect(text).not.toContain('INTERNAL');
});

it('a request refused before it was served counts under its code', async () => {
  const { telemetry, request } = start();
  request().end({ code: 'MODEL_NOT_FOUND', promptTokens: 0, completionTokens: 0 });
  expect(await telemetry.metricsText()).toContain(
    'adaptlet_requests_total{adapter="",rollout="",arm="",protocol="grpc",code="MODEL_NOT_FOUND"} 1',
  );
});

it('adapters beyond the budget of labels share the series "other"', async () => {
  const { telemetry, request } = start();
  for (let i = 0; i < labelBudgets.adapters + 10; i++) {
    const record = request();
    record.acquired('r', { ...served, adapter: `user-${i}` });
    record.end({ code: 'OK', promptTokens: 0, completionTokens: 0 });
  }
  const text = await telemetry.metricsText();
  const series = text.split('\n').filter((line) => line.startsWith('adaptlet_requests_total{'));
  expect(series).toHaveLength(labelBudgets.adapters + 1);
  expect(series.at(-1)).toContain('adapter="other"');
  expect(series.at(-1)).toMatch(/ 10$/);
});

it('every metric has its exact name and its sentence', async () => {
  const { clock, telemetry, request } = start();
  const record = request();
  record.routing({ namespace: 'team-a', model: 'sql', caller: 'team-a/app', headers: new Map() });
  record.acquired('r', served);
  record.token();
  record.end({ code: 'OK', promptTokens: 1, completionTokens: 1 });
  telemetry.transition({ from: 'Loaded', to: 'Resident', cause: 'Passed' });
  telemetry.feedback({ rollout: 'sql', arm: 'canary' });
  telemetry.endedConnection('http', 'chunks');
  telemetry.endedStream('messages');
  telemetry.delayedConnection('http');
  const text = await telemetry.metricsText();
  for (const { name, help } of Object.values(metrics)) {
    expect(text).toContain(`# HELP ${name} ${help}\n`);
    expect(text).toMatch(new RegExp(`^# TYPE ${name} (counter|gauge|histogram)$`, 'm'));
    expect(text).toMatch(new RegExp(`^${name}(_count|_sum|_bucket)?(\\{.*\\})? [0-9.e+]+$`, 'm'));
  }
  expect(text).toContain('adaptlet_adapter_transitions_total{from="Loaded",to="Resident",cause="Passed"} 1');
  expect(text).toContain(
    `vllm:lora_requests_info{max_lora="8",running_lora_adapters="upper,sql",waiting_lora_adapters=""} ${clock.now() / 1000}`,
  );
  expect(text).toContain('vllm:num_requests_running 3');
  expect(text).toContain('adaptlet_mirrored_requests_total{result="equal"} 5');
  expect(text).toContain('adaptlet_deltas_total{result="applied"} 3');
  expect(text).toContain('adaptlet_delta_saved_bytes_total 4000');
  expect(text).toContain('adaptlet_prefetch_hits_total{tier="disk"} 2');
  expect(text).toContain('adaptlet_prefetched_bytes_total{tier="ram"} 500');
  expect(text).toContain('adaptlet_prefetch_wasted_bytes_total{tier="disk"} 300');
  expect(text).toContain('adaptlet_sessions 6');
  expect(text).toContain('adaptlet_tls_certificate_expiry_timestamp_seconds 1800000000\n');
  expect(text).toContain('adaptlet_session_tokens_total{result="foreign"} 1');
  expect(text).toContain('adaptlet_classifier_answers_total{code="DEADLINE_EXCEEDED"} 2');
  expect(text).toContain('adaptlet_classifiers{state="Failed"} 1');
  expect(text).toContain('vllm:kv_cache_usage_perc 0.25');
  expect(text).toContain('vllm:cache_config_info{block_size="16",num_gpu_blocks="40"} 1');
  expect(text).toContain('# TYPE adaptlet_decoded_tokens_total counter\nadaptlet_decoded_tokens_total 35');
  expect(text).toContain('vllm:prefix_cache_queries_total 90');
  expect(text).toContain('vllm:prefix_cache_hits_total 60');
  expect(text).toContain('vllm:spec_decode_num_drafts_total 5');
  expect(text).toContain('vllm:spec_decode_num_draft_tokens_total 12');
  expect(text).toContain('vllm:spec_decode_num_accepted_tokens_total 7');
  expect(text).toContain('adaptlet_rollout_effective_weight_percent{rollout="default/sql"} 10');
});

it('only the newest combination of adapters is exposed, and a rollout that is gone is gone', async () => {
  const { telemetry, read } = start();
  await telemetry.metricsText();
  read({ ...fakeGauges, rollouts: [], lora: { max: 8, running: ['x"y\\z'], waiting: ['w'] } });
  const lines = (await telemetry.metricsText())
    .split('\n')
    .filter((l) => /^(vllm:lora|adaptlet_rollout)/.test(l));
  expect(lines).toHaveLength(1);
  expect(lines[0]).toContain('running_lora_adapters="x\\"y\\\\z",waiting_lora_adapters="w"');
});

it('where this runtime decides about rollouts it tells where they stand, as the leader of a cluster does', async () => {
  const { telemetry, read } = start();
  const told = async () => (await telemetry.metricsText()).match(/^adaptlet_rollout_info.*$/m)?.[0];
  expect(await told()).toBeUndefined();
  const object = aRollout({ name: 'sql' }, { adapter: 'v1' }, aStatus({ phase: 'Degraded' }));
  read({ ...fakeGauges, rollouts: fakeGauges.rollouts.map((rollout) => ({ ...rollout, object })) });
  expect(await told()).toBe(
    'adaptlet_rollout_info{namespace="team-a",name="sql",strategy="canary",phase="Degraded"} 1',
  );
});

it('a request has one span below that of its caller, with its parts below it and those of the engine below that', async () => {
  const exporter = new InMemorySpanExporter();
  const { request } = start(exporter);
  const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
  const record = request(new Map([['traceparent', traceparent]]));
  record.routing(context);
  for (const stage of ['route', 'load', 'engine'] as const) record.stage(stage);
  const classified = 'intent=medical;score=0.714;margin=0.714, tone=;score=0.200;margin=0.100;uncertain';
  record.acquired('r1', { ...served, classified });
  record.token();
  const timing = { queueMs: 1, prefillMs: 2, decodeMs: 3, switchMs: 0.5 };
  const generated = { timing, finishReasons: ['stop', 'length'], cachedTokens: 4 } as const;
  record.end({ code: 'OK', promptTokens: 9, completionTokens: 1, generated });
  record.stage('route');
  const finished = exporter.getFinishedSpans();
  const named = (name: string): ReadableSpan | undefined => finished.find((span) => span.name === name);
  const root = named(spans.request);
  expect(finished.map(({ name }) => name).toSorted()).toEqual(Object.values(spans).toSorted());
  expect(root?.spanContext().traceId).toBe('0af7651916cd43dd8448eb211c80319c');
  expect(record.ids).toEqual({
    trace_id: '0af7651916cd43dd8448eb211c80319c',
    span_id: root?.spanContext().spanId,
  });
  expect(root?.parentSpanContext?.spanId).toBe('b7ad6b7169203331');
  const below = (name: string) => named(name)?.parentSpanContext?.spanId;
  for (const part of [spans.route, spans.load, spans.engine])
    expect(below(part)).toBe(root?.spanContext().spanId);
  for (const part of [spans.queue, spans.prefill, spans.decode])
    expect(below(part)).toBe(named(spans.engine)?.spanContext().spanId);
  expect(named(spans.prefill)?.attributes).toMatchObject({
    'adaptlet.prefill_ms': 2,
    'adaptlet.switch_ms': 0.5,
  });
  expect(root?.attributes).toMatchObject({
    'adaptlet.model': 'sql',
    'adaptlet.adapter': 'upper',
    'adaptlet.digest': fakeDigest('a'),
    'adaptlet.rollout': 'sql',
    'adaptlet.arm': 'canary',
    'adaptlet.rule': 'r',
    'adaptlet.classified': classified,
    'adaptlet.classifier.scores': [0.714, 0.2],
    'adaptlet.code': 'OK',
    'adaptlet.queue_ms': 1,
    'adaptlet.decode_ms': 3,
    'gen_ai.provider.name': 'adaptlet',
    'gen_ai.request.model': 'sql',
    'gen_ai.response.id': 'r1',
    'gen_ai.response.model': 'upper',
    'gen_ai.response.finish_reasons': ['stop', 'length'],
    'gen_ai.usage.input_tokens': 9,
    'gen_ai.usage.cache_read.input_tokens': 4,
  });
  expect(root?.attributes).not.toHaveProperty('error.type');
});

it('a request that fails on its way says where, and parts in vain are seen as well', () => {
  const exporter = new InMemorySpanExporter();
  const record = start(exporter).request();
  record.routing(context);
  for (const stage of ['route', 'load', 'engine', 'route', 'load'] as const) record.stage(stage);
  record.end({ code: 'QUEUE_FULL', promptTokens: 0, completionTokens: 0 });
  const finished = exporter.getFinishedSpans();
  expect(finished.map(({ name, status: { message } }) => [name, message])).toEqual([
    [spans.route, undefined],
    [spans.load, undefined],
    [spans.engine, undefined],
    [spans.route, undefined],
    [spans.load, 'QUEUE_FULL'],
    [spans.request, 'QUEUE_FULL'],
  ]);
  expect(finished.at(-1)?.attributes).toMatchObject({ 'error.type': 'QUEUE_FULL' });
});

it('without a collector lines of logs have the trace of the caller, and none where there is none', () => {
  const { request } = start();
  const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
  const ids = (headers?: Map<string, string>) => request(headers).ids;
  expect(ids(new Map([['traceparent', traceparent]]))).toEqual({
    trace_id: '0af7651916cd43dd8448eb211c80319c',
  });
  expect(ids()).toEqual({});
});

it('a request of a caller that is not sampled has no spans, and its lines of logs the trace of the caller', () => {
  const exporter = new InMemorySpanExporter();
  const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00';
  const record = start(exporter).request(new Map([['traceparent', traceparent]]));
  record.routing(context);
  for (const stage of ['route', 'load', 'engine'] as const) record.stage(stage);
  record.acquired('r1', served);
  record.end({ code: 'OK', promptTokens: 1, completionTokens: 1 });
  expect(exporter.getFinishedSpans()).toEqual([]);
  expect(record.ids.trace_id).toBe('0af7651916cd43dd8448eb211c80319c');
});

it.each([
  '',
  'nonsense',
  `00-${'0'.repeat(32)}-b7ad6b7169203331-01`,
  `ff-${'1'.repeat(32)}-b7ad6b7169203331-01`,
])('a traceparent "%s" that is not valid begins a new trace', (traceparent) => {
  const exporter = new InMemorySpanExporter();
  const { request } = start(exporter);
  request(new Map([['traceparent', traceparent]])).end({
    code: 'QUEUE_FULL',
    promptTokens: 0,
    completionTokens: 0,
  });
  const [span] = exporter.getFinishedSpans();
  expect(span?.parentSpanContext).toBeUndefined();
  expect(span?.status.message).toBe('QUEUE_FULL');
});

it('spans reach the collector at the endpoint, at the latest when telemetry is closed', async () => {
  const received: { path: string | undefined; body: string }[] = [];
  const collector = createServer((req, res) => {
    const keep = async (): Promise<void> => {
      received.push({ path: req.url, body: await readText(req) });
      res.end();
    };
    void keep();
  }).listen(0, '127.0.0.1');
  await once(collector, 'listening');
  const endpoint = `http://127.0.0.1:${(collector.address() as AddressInfo).port}`;
  const telemetry = createTelemetry({
    version: '0.1.0',
    instance: 'i1',
    clock: systemClock,
    gauges: () => fakeGauges,
    traces: await openTraces(endpoint, build),
  });
  telemetry
    .request({ protocol: 'http', method: 'm', headers: new Map() })
    .end({ code: 'OK', promptTokens: 0, completionTokens: 0 });
  await telemetry.close();
  collector.close();
  expect(received).toHaveLength(1);
  expect(received[0]?.path).toBe('/v1/traces');
  expect(received[0]?.body).toContain(spans.request);
});

it('a collector that does not answer does not keep the runtime from stopping', async () => {
  const clock = new FakeClock();
  const processor: SpanProcessor = {
    onStart: () => undefined,
    onEnd: () => undefined,
    forceFlush: () => Promise.resolve(),
    shutdown: () => new Promise(() => undefined),
  };
  const telemetry = createTelemetry({
    version: '0.1.0',
    instance: 'i1',
    clock,
    gauges: () => fakeGauges,
    traces: tracesTo(processor, build),
  });
  const closed = telemetry.close();
  clock.advance(closeTimeoutMs);
  await closed;
});
