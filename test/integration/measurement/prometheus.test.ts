import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createMeasure } from '../../../src/measurement/measure.ts';
import { Measurements } from '../../../src/measurement/measurements.ts';
import type { Variables } from '../../../src/measurement/source.ts';
import type { MeasurementResult } from '../../../src/rollout/analysis/measurement.ts';
import { systemClock } from '../../../src/time/clock.ts';
import { TestNode, yaml } from '../../support/node.ts';
import { waitFor } from '../../support/wait.ts';
import { debianProgram } from '../../tools/debian.ts';
import { type PrometheusProcess, startPrometheus } from './prometheus-process.ts';

/** What an exporter of a user would say. */
const exposition = `# TYPE errors_total counter
errors_total{adapter="sql-v1"} 3
errors_total{adapter="sql-v2"} 7
# TYPE quality gauge
quality NaN
# TYPE limit gauge
limit +Inf
`;

const variables: Variables = { namespace: 'default', rollout: 'sql', 'canary.adapter': 'sql-v2' };
const program = await debianProgram('prometheus');
const reason =
  program === undefined ? ' (SKIPPED: prometheus is not installed, and apt does not have it)' : '';

describe.skipIf(program === undefined)(`a metric of a real Prometheus${reason}`, () => {
  let exporter: Server;
  let node: TestNode;
  let prometheus: PrometheusProcess;
  const measure = createMeasure({ fetch, hosts: ['127.0.0.1'] });
  const ask = (query: string): Promise<number> => {
    const source = { prometheus: { address: prometheus.address, query } };
    return measure(source, variables, AbortSignal.timeout(20_000));
  };
  const target = (server: Server): string => `127.0.0.1:${(server.address() as AddressInfo).port}`;

  beforeAll(async () => {
    exporter = createServer((_, response) => {
      response.setHeader('content-type', 'text/plain; version=0.0.4').end(exposition);
    });
    await new Promise<void>((resolve) => exporter.listen(0, '127.0.0.1', resolve));
    node = await TestNode.start();
    await node.write(
      'sql.yaml',
      yaml.adapter('sql-v2', 'adapters/upper') + yaml.rollout('sql', 'sql-v2', ''),
    );
    prometheus = await startPrometheus(program ?? '', [target(exporter), new URL(node.http).host]);
    await waitFor('both to be scraped', async () => (await ask('sum(up)')) === 2);
  });
  afterAll(async () => {
    await prometheus?.[Symbol.asyncDispose]();
    await node?.dispose();
    exporter?.close();
  });

  it('is the value of a scalar', async () => {
    expect(await ask('scalar(sum(errors_total)) / 4')).toBe(2.5);
  });

  it('is the value of the only sample of a vector', async () => {
    expect(await ask('errors_total{adapter="{{canary.adapter}}"}')).toBe(7);
    expect(await ask(`errors_total{adapter='{{ canary.adapter }}'} > bool 5`)).toBe(1);
  });

  it('is NaN, or infinite, where the value is', async () => {
    expect(await ask('quality')).toBeNaN();
    expect(await ask('0 / (errors_total{adapter="sql-v2"} * 0)')).toBeNaN();
    expect(await ask('limit')).toBe(Infinity);
    expect(await ask('-limit')).toBe(-Infinity);
  });

  it('is an error where nothing is found, unless the query says what that means', async () => {
    await expect(ask('errors_total{adapter="none"}')).rejects.toThrow('the query has no result');
    expect(await ask('errors_total{adapter="none"} or vector(0)')).toBe(0);
  });

  it('is an error that says to aggregate where there are several results', async () => {
    await expect(ask('errors_total')).rejects.toThrow('has 2 results: aggregate them with sum, avg or max');
    await expect(ask('errors_total[5m]')).rejects.toThrow('gives a "matrix"');
    await expect(ask('"text"')).rejects.toThrow('gives a "string"');
  });

  it('is an error with what Prometheus says about a query that is wrong', async () => {
    await expect(ask('sum(errors_total')).rejects.toThrow(
      /Prometheus answers 400, "bad_data": ".*parse error: unclosed left parenthesis/,
    );
    await expect(ask('errors_total * on(job) errors_total')).rejects.toThrow(
      /Prometheus answers 422, "execution": ".*many-to-many matching not allowed/,
    );
  });

  it("can be one of the runtime's own, of the adapter that is rolled out", async () => {
    const own = 'sum(adaptlet_requests_total{adapter="{{canary.adapter}}", code="OK"})';
    await waitFor('an answer', () => node.client.ask({ model: 'sql', prompt: 'abc', maxTokens: 2 }));
    const count = await waitFor('the count of it', async () => (await ask(`${own} or vector(0)`)) || false);
    expect(count).toBe(1);
  });

  it('is an error where the server is gone, and the result comes in the background', async () => {
    const results = new Map<string, MeasurementResult | undefined>();
    using measurements = new Measurements({
      clock: systemClock,
      measure,
      changed: (id) => results.set(id, measurements.result(id, 1)),
    });
    const other = await startPrometheus(program ?? '', []);
    await other.stop();
    const query = 'vector(42)';
    measurements.ask('here', 1, { prometheus: { address: prometheus.address, query } }, variables);
    measurements.ask('gone', 1, { prometheus: { address: other.address, query } }, variables);
    await waitFor('both results', () => results.size === 2);
    expect(results.get('here')).toEqual({ value: 42 });
    expect(results.get('gone')).toEqual({
      error: expect.stringContaining(`${other.address}/api/v1/query did not answer: ECONNREFUSED`),
    });
    await other[Symbol.asyncDispose]();
  });
});
