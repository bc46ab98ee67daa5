import { describe, expect, it } from 'vitest';
import { codeOf } from '../errors/code-of.fixture.ts';
import { answering, answeringJson } from './answers.fixture.ts';
import { askPrometheus } from './prometheus.ts';

const variables = { namespace: 'team-a', rollout: 'sql', 'canary.adapter': 'sql-v2' };
const source = { address: 'http://prometheus:9090', query: 'up{adapter="{{canary.adapter}}"}' };
const never = new AbortController().signal;

const ask = (fetcher: typeof fetch) => askPrometheus(fetcher, source, variables, never);
const success = (resultType: string, result: unknown) =>
  answeringJson({ status: 'success', data: { resultType, result } }).fetch;
const sample = (value: unknown) => ({ metric: {}, value: [1_700_000_000.123, value] });

describe('a query to Prometheus', () => {
  it('is sent as a form, filled in, to the API below the address', async () => {
    const { fetch: fetcher, asked } = answeringJson({
      status: 'success',
      data: { resultType: 'scalar', result: [1, '2'] },
    });
    const address = 'https://metrics.example/tenant/';
    await askPrometheus(fetcher, { ...source, address }, variables, never);
    expect(asked).toEqual([
      {
        url: 'https://metrics.example/tenant/api/v1/query',
        method: 'POST',
        body: 'query=up%7Badapter%3D%22sql-v2%22%7D&timeout=10000ms',
      },
    ]);
  });

  it.each([
    ['1', 1],
    ['-0.5', -0.5],
    ['1e+06', 1_000_000],
    ['1.5e-07', 1.5e-7],
    ['+Inf', Infinity],
    ['-Inf', -Infinity],
    ['NaN', Number.NaN],
  ])('gives the value %s of a scalar and of a single sample', async (text, value) => {
    expect(await ask(success('scalar', [1, text]))).toBe(value);
    expect(await ask(success('vector', [sample(text)]))).toBe(value);
  });

  it.each<[what: string, type: string, result: unknown, message: string]>([
    ['no sample', 'vector', [], 'the query has no result.'],
    [
      'several samples',
      'vector',
      [sample('1'), sample('2')],
      'has 2 results: aggregate them with sum, avg or max',
    ],
    ['a histogram', 'vector', [{ metric: {}, histogram: [1, {}] }], 'has a histogram as its result'],
    ['a range', 'matrix', [{ metric: {}, values: [[1, '2']] }], 'gives a "matrix", but a scalar'],
    ['a text', 'string', [1, 'x'], 'gives a "string", but a scalar'],
    ['a value that is no number', 'scalar', [1, '0x10'], 'is "0x10", not a number'],
    ['a value that every object inherits', 'scalar', [1, 'constructor'], 'is "constructor", not a number'],
    ['an empty value', 'vector', [sample('')], 'is "", not a number'],
    ['a scalar of another form', 'scalar', 7, 'the scalar of the answer is not one of Prometheus'],
    ['a vector of another form', 'vector', { a: 1 }, 'the vector of the answer is not one of Prometheus'],
    ['a sample of another form', 'vector', [sample(7)], 'the vector of the answer is not one of Prometheus'],
  ])('gives an error that says what to do for %s', async (_, type, result, message) => {
    const answer = ask(success(type, result));
    await expect(answer).rejects.toThrow(message);
    expect(await codeOf(() => answer)).toBe('METRIC_UNREADABLE');
  });

  it.each([
    ['bad_data', 400, 'METRIC_UNREADABLE'],
    ['execution', 422, 'METRIC_UNREADABLE'],
    ['timeout', 503, 'METRIC_UNAVAILABLE'],
    ['internal', 500, 'METRIC_UNAVAILABLE'],
  ])('quotes an error of Prometheus: %s', async (errorType, status, code) => {
    const answer = ask(answeringJson({ status: 'error', errorType, error: 'parse\nerror' }, status).fetch);
    await expect(answer).rejects.toThrow(`Prometheus answers ${status}, "${errorType}": "parse\\nerror"`);
    expect(await codeOf(() => answer)).toBe(code);
  });

  it('quotes no more than a status can hold', async () => {
    const body = { status: 'error', errorType: 'x'.repeat(9999), error: 'y'.repeat(9999) };
    const error: unknown = await ask(answeringJson(body, 400).fetch).catch((thrown: unknown) => thrown);
    expect(String(error).length).toBeLessThan(800);
  });

  it.each([
    ['a page', answering('<h1>secret</h1>', { type: 'text/html' })],
    ['JSON of something else', answeringJson({ kind: 'Secret', data: 'secret' })],
    ['an error in a success', answeringJson({ status: 'error', error: 'secret' })],
    [
      'a success with the status 500',
      answeringJson({ status: 'success', secret: 1, data: { resultType: 'scalar', result: [1, '1'] } }, 500),
    ],
    ['broken JSON', answering('{"secret": ')],
    ['null', answering('null')],
  ])('does not quote what is not of Prometheus: %s', async (_, { fetch: fetcher }) => {
    const error: unknown = await ask(fetcher).catch((thrown: unknown) => thrown);
    expect(String(error)).toContain('http://prometheus:9090/api/v1/query answers ');
    expect(String(error)).not.toContain('secret');
  });
});
