import { describe, expect, it } from 'vitest';
import { codeOf } from '../errors/code-of.fixture.ts';
import { answering, answeringJson } from './answers.fixture.ts';
import { askHttp } from './http-json.ts';

const variables = { namespace: 'team-a', rollout: 'sql', 'canary.adapter': 'sql.v2' };
const source = {
  url: 'https://scores.example/{{namespace}}?adapter={{canary.adapter}}&key=private',
  jsonPath: '$.{{canary.adapter}}.score',
};
const never = new AbortController().signal;
const ask = (fetcher: typeof fetch) => askHttp(fetcher, source, variables, never);
const scored = (score: unknown) => ask(answeringJson({ 'sql.v2': { score } }).fetch);

describe('a number of a web server', () => {
  it('is asked for by GET, with the placeholders filled in', async () => {
    const { fetch: fetcher, asked } = answeringJson({ 'sql.v2': { score: 1 } });
    await ask(fetcher);
    const url = 'https://scores.example/team-a?adapter=sql.v2&key=private';
    expect(asked).toEqual([{ url, method: 'GET', body: '' }]);
  });

  it.each([
    [0, 0],
    [-2.5e3, -2500],
    ['0.25', 0.25],
    ['1e3', 1000],
    ['-.5', -0.5],
    ['NaN', Number.NaN],
  ])('is read from %j', async (score, value) => {
    expect(await scored(score)).toBe(value);
  });

  it.each([
    [true, 'boolean'],
    [null, 'null'],
    [[1], 'array'],
    [{}, 'object'],
    ['', 'string'],
    ['0x10', 'string'],
    ['12 ms', 'string'],
    ['Infinity', 'string'],
  ])('is not read from %j', async (score, kind) => {
    await expect(scored(score)).rejects.toThrow(
      `the JSON of https://scores.example/team-a has a ${kind} at $.{{canary.adapter}}.score, not a number`,
    );
  });

  it('that is not there is an error that says how far the path led', async () => {
    await expect(ask(answeringJson({ 'sql.v2': {} }).fetch)).rejects.toThrow(
      "has nothing at $['sql.v2']['score']",
    );
  });

  it.each([404, 500, 204])('does not come with the status %d', async (status) => {
    const body = status === 204 ? null : '{"sql.v2":{"score":1}}';
    const fetcher = () =>
      Promise.resolve(new Response(body, { status, headers: { 'content-type': 'application/json' } }));
    await expect(ask(fetcher)).rejects.toThrow(`https://scores.example/team-a answers ${status}`);
    expect(await codeOf(() => ask(fetcher))).toBe('METRIC_UNAVAILABLE');
  });

  it.each(['application/json; charset=utf-8', 'application/problem+json', 'Application/JSON'])(
    'comes with the type %s',
    async (type) => {
      const { fetch: fetcher } = answering('{"sql.v2":{"score":1}}', { type });
      expect(await ask(fetcher)).toBe(1);
    },
  );

  it.each(['text/html', 'text/plain', 'application/jsonp', 'application/x-ndjson'])(
    'does not come with the type %s',
    async (type) => {
      const { fetch: fetcher } = answering('{"sql.v2":{"score":1}}', { type });
      await expect(ask(fetcher)).rejects.toThrow('answers no JSON with the type application/json');
    },
  );

  it.each([['{"sql.v2"'], ['private: 1'], ['\u0000'], ['']])(
    'does not come of %j, and nothing of it is quoted, nor the query of the URL',
    async (body) => {
      const error: unknown = await ask(answering(body).fetch).catch((thrown: unknown) => thrown);
      expect(String(error)).toContain('answers no JSON');
      expect(String(error)).not.toContain('private');
    },
  );

  it('of a URL that is none is an error', async () => {
    const asked = askHttp(fetch, { url: 'http://1.2.3.4.5/', jsonPath: '$' }, variables, never);
    await expect(asked).rejects.toThrow('the url of the metric is no URL');
  });
});
