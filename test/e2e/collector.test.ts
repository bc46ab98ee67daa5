import { describe, expect, it } from 'vitest';
import type { Span } from '../support/collector.ts';
import { TestNode } from '../support/node.ts';
import { folderOfTest } from '../support/temporary-folder.ts';
import { waitFor } from '../support/wait.ts';
import { tool } from '../tools/build.ts';
import { startCollector } from '../tools/collector-process.ts';

const otelcol = await tool('otelcol');

/** The same length as a real one, by its last digits. */
const traceOf = (last: string): string => last.padStart(32, '1');

describe.runIf(otelcol !== undefined)('an OpenTelemetry Collector', () => {
  it('gets the traces of requests that were answered, refused and given up by their callers, and none of unsampled ones', async () => {
    await using stack = new AsyncDisposableStack();
    const folder = folderOfTest();
    const collector = stack.use(await startCollector(otelcol ?? '', folder));
    const node = await TestNode.start({ env: { OTEL_EXPORTER_OTLP_ENDPOINT: collector.endpoint } });
    stack.defer(() => node.dispose());
    const post = (trace: string, body: object, more: { flags?: string; signal?: AbortSignal } = {}) => {
      const { flags = '01', ...rest } = more;
      const traceparent = `00-${traceOf(trace)}-b7ad6b7169203331-${flags}`;
      return fetch(`${node.http}/v1/completions`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', traceparent },
        body: JSON.stringify({ prompt: 'the cat', max_tokens: 8, ...body }),
        ...rest,
      });
    };
    await (await post('c', { model: 'tiny' }, { flags: '00' })).text();
    await (await post('a', { model: 'tiny', n: 2 })).text();
    expect((await post('b', { model: 'nobody' })).status).toBe(404);
    // Many at once: some of them are still under way when their caller leaves.
    const givenUp = Array.from({ length: 16 }, (_, i) => `d${i.toString(16)}`);
    const gone = new AbortController();
    const long = { model: 'tiny', stream: true, max_tokens: 240, guided_regex: '[a-z ]{220}' };
    const streams = givenUp.map((trace) => post(trace, long, { signal: gone.signal }));
    const first = await Promise.any(streams);
    expect(first.status, first.ok ? '' : await first.text()).toBe(200);
    gone.abort();
    await Promise.allSettled(streams);

    const of = (all: readonly Span[], trace: string) =>
      all.filter(({ traceId }) => traceId === traceOf(trace));
    const spans = await waitFor('the traces', async () => {
      const all = await collector.spans();
      const codeOf = (trace: string) =>
        of(all, trace).find(({ name }) => name === 'adaptlet.request')?.attributes['adaptlet.code'];
      const isCancelled = (trace: string) => codeOf(trace) === 'REQUEST_CANCELLED';
      return ['a', 'b'].every(codeOf) && givenUp.some(isCancelled) && all;
    });
    const told = (trace: string) =>
      of(spans, trace)
        .map(({ name, attributes: { 'adaptlet.code': code } }) =>
          [name.slice('adaptlet.'.length), ...(typeof code === 'string' ? [code] : [])].join(' '),
        )
        .toSorted();
    expect(told('a')).toEqual(['decode', 'generate', 'load', 'prefill', 'queue', 'request OK', 'route']);
    expect(told('b')).toEqual(['request MODEL_NOT_FOUND', 'route']);
    const cancelled = givenUp.filter((trace) => told(trace).includes('request REQUEST_CANCELLED'));
    expect(cancelled).not.toEqual([]);
    for (const trace of cancelled)
      for (const { name, status } of of(spans, trace)) {
        expect(['adaptlet.request', 'adaptlet.route', 'adaptlet.load', 'adaptlet.generate']).toContain(name);
        if (name === 'adaptlet.request') expect(status?.code).toBe(2);
      }
    expect(of(spans, 'c')).toEqual([]);
    const [answered] = of(spans, 'a').filter(({ name }) => name === 'adaptlet.request');
    expect(answered?.attributes['gen_ai.response.finish_reasons']).toHaveLength(2);
    for (const { start, end, service } of spans) {
      expect(service).toBe('adaptlet-runtime');
      expect(end >= start).toBe(true);
    }
  });
});
