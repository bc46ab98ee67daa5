import { describe, expect, it } from 'vitest';
import { codeOf } from '../errors/code-of.fixture.ts';
import { answeringJson } from './answers.fixture.ts';
import { createMeasure } from './measure.ts';
import type { ExternalSource } from './source.ts';

const variables = { namespace: 'team-a', rollout: 'sql' };
const never = new AbortController().signal;
const http = (url: string): ExternalSource => ({ http: { url, jsonPath: '$.n' } });
const prometheus = (address: string): ExternalSource => ({ prometheus: { address, query: '1' } });

describe('a measurement of a source', () => {
  it('asks the kind of server that the source is', async () => {
    const web = createMeasure({ fetch: answeringJson({ n: 7 }).fetch, hosts: [] });
    expect(await web(http('http://a/'), variables, never)).toBe(7);
    const answer = { status: 'success', data: { resultType: 'scalar', result: [1, '8'] } };
    const queried = createMeasure({ fetch: answeringJson(answer).fetch, hosts: ['a'] });
    expect(await queried(prometheus('http://a'), variables, never)).toBe(8);
  });

  it.each([http('http://169.254.169.254/latest'), prometheus('http://other:9090')])(
    'asks nothing of a host that is not listed',
    async (source) => {
      const { fetch: fetcher, asked } = answeringJson({ n: 7 });
      const measure = createMeasure({ fetch: fetcher, hosts: ['prometheus:9090'] });
      expect(await codeOf(() => measure(source, variables, never))).toBe('METRIC_DENIED');
      expect(asked).toEqual([]);
    },
  );

  it.each<[hosts: readonly string[] | undefined, code: string]>([
    [undefined, 'none'],
    [['prometheus:9090', '*.example'], 'none'],
    [['other:9090'], 'METRIC_DENIED'],
    [[], 'METRIC_DENIED'],
  ])('asks of a namespace what its policy lists: %j', async (own, code) => {
    const answer = { status: 'success', data: { resultType: 'scalar', result: [1, '8'] } };
    const { fetch: fetcher, asked } = answeringJson(answer);
    const hostsOf = (namespace: string) => (namespace === 'team-a' ? own : ['elsewhere']);
    const measure = createMeasure({ fetch: fetcher, hosts: ['prometheus:9090'], hostsOf });
    expect(await codeOf(() => measure(prometheus('http://prometheus:9090'), variables, never))).toBe(code);
    expect(asked).toHaveLength(code === 'none' ? 1 : 0);
  });
});
