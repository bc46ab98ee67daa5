import { bad, good, manifest, type Row } from './manifests.ts';

/** An AdapterAnalysis whose only metric has this source. */
const from = (source: unknown): string => {
  const judge = { threshold: { success: { atMost: 1 } } };
  const metrics = [{ name: 'errors', source, judge, count: 1 }];
  return manifest('AdapterAnalysis', { metrics });
};
const prometheus = (fields: object): string =>
  from({ prometheus: { address: 'http://prometheus:9090', query: 'up', ...fields } });
const http = (fields: object): string =>
  from({ http: { url: 'https://scores.example/v1', jsonPath: '$.a', ...fields } });

const at = 'spec.metrics[0].source';
const shouldMatch = (path: string): string => `${at}.${path} in body should match '^`;

export const metricRows: readonly Row[] = [
  good(
    'a query with placeholders, on two lines',
    prometheus({
      address: 'https://metrics.example/tenant-a/',
      query: 'sum(errors{adapter="{{canary.adapter}}"})\n/ sum(all{ns=~"{{ namespace }}|x{2}"})',
    }),
  ),
  good('a query that ends in a brace', prometheus({ query: '{' })),
  good('a query of the greatest length', prometheus({ query: 'x'.repeat(4096) })),
  good(
    'a URL and a path with placeholders',
    http({
      url: 'http://[fd00::7]:8080/{{namespace}}?a={{canary.adapter}}&d={{stable.digest}}',
      jsonPath: `$.scores[0].x-{{rollout}}['a b/ö']["{{canary.digest}}"]`,
    }),
  ),
  good('credentials of a Secret', prometheus({ secretRef: { name: 'login', key: 'token' } })),
  bad(
    'a Secret without a key',
    http({ secretRef: { name: 'login' } }),
    `${at}.http.secretRef.key: Required value`,
  ),
  good('a path in braces', http({ jsonPath: '{.adapters.{{canary.adapter}}}' })),

  bad(
    'an address without a scheme',
    prometheus({ address: 'prometheus:9090' }),
    shouldMatch('prometheus.address'),
  ),
  bad(
    'an address with a password',
    prometheus({ address: 'http://me:x@p' }),
    shouldMatch('prometheus.address'),
  ),
  bad('an address with a query', prometheus({ address: 'http://p?a=b' }), shouldMatch('prometheus.address')),
  bad(
    'no query',
    prometheus({ query: '' }),
    `${at}.prometheus.query in body should be at least 1 chars long`,
  ),
  bad('a query that is too long', prometheus({ query: 'x'.repeat(4097) }), 'may not be more than 4096'),
  bad('a placeholder of nothing', prometheus({ query: '{{args.x}}' }), shouldMatch('prometheus.query')),
  bad('a placeholder that does not end', prometheus({ query: 'x{{' }), shouldMatch('prometheus.query')),
  bad('a header of Prometheus', prometheus({ headers: [] }), 'unknown field'),
  bad('a URL of a file', http({ url: 'file:///etc/passwd' }), shouldMatch('http.url')),
  bad('a URL with a user', http({ url: 'https://token@x.example/' }), shouldMatch('http.url')),
  bad('a URL with a fragment', http({ url: 'https://x.example/#a' }), shouldMatch('http.url')),
  bad('a URL with a line break', http({ url: 'https://x.example/\r\na: b' }), shouldMatch('http.url')),
  bad('a placeholder as the host', http({ url: 'https://{{rollout}}/' }), shouldMatch('http.url')),
  bad('a path without a beginning', http({ jsonPath: 'a.b' }), shouldMatch('http.jsonPath')),
  bad('a path with a wildcard', http({ jsonPath: '$.a[*]' }), shouldMatch('http.jsonPath')),
  bad('a path with a filter', http({ jsonPath: '$.a[?(@.b)]' }), shouldMatch('http.jsonPath')),
  bad('a path with a brace too many', http({ jsonPath: '$.a}' }), shouldMatch('http.jsonPath')),
];
