import { describe, expect, it } from 'vitest';
import type { z } from 'zod';
import { httpSchema, prometheusSchema } from './metric-source.ts';

const messagesOf = (schema: z.ZodType, value: unknown): string[] =>
  schema.safeParse(value).error?.issues.map((issue) => issue.message) ?? [];

const prometheus = (fields: object) => ({ address: 'http://prometheus:9090', query: 'up', ...fields });
const http = (fields: object) => ({ url: 'https://scores.example/v1', jsonPath: '$.a', ...fields });

describe('a metric of Prometheus', () => {
  it.each([
    'http://prometheus.monitoring.svc:9090',
    'https://metrics.example/tenant-a/prometheus/',
    'http://[::1]:9090',
    'http://10.0.0.7',
  ])('may be asked of %s', (address) => {
    expect(messagesOf(prometheusSchema, prometheus({ address }))).toEqual([]);
  });

  it.each([
    ['prometheus:9090', 'must start with http:// or https://'],
    ['file:///etc/passwd', 'must start with http:// or https://'],
    ['http://me:secret@prometheus:9090', 'must not have a user or a password'],
    ['http://prometheus:9090?tenant=a', 'must be scheme, host, port and perhaps a path'],
    ['http://prometheus:9090/#x', 'must be scheme, host, port and perhaps a path'],
    ['http://{{namespace}}.example', 'must be scheme, host, port and perhaps a path'],
    ['http://', 'must be scheme, host, port and perhaps a path'],
  ])('is not asked of %s', (address, message) => {
    expect(messagesOf(prometheusSchema, prometheus({ address }))).toEqual([expect.stringContaining(message)]);
  });

  it.each([
    'up{job="x"} and on() ({__name__="y"})',
    'errors{adapter="{{canary.adapter}}", digest=~"{{ canary.digest }}"}\n/ total{ns="{{namespace}}"}',
    'a{b="{"}',
    '{',
  ])('has the query %j', (query) => {
    expect(messagesOf(prometheusSchema, prometheus({ query }))).toEqual([]);
  });

  it.each(['{{canary}}', 'x{a="{{args.name}}"}', '{{{namespace}}}', 'x{{', '{{canaryXadapter}}'])(
    'does not have the query %j, whose placeholder means nothing',
    (query) => {
      expect(messagesOf(prometheusSchema, prometheus({ query }))).toEqual([
        expect.stringContaining('"{{" must begin one of {{namespace}}, {{rollout}}, {{canary.adapter}}'),
      ]);
    },
  );

  it('has a query, of at most 4096 characters', () => {
    expect(messagesOf(prometheusSchema, prometheus({ query: 'x'.repeat(4096) }))).toEqual([]);
    expect(messagesOf(prometheusSchema, prometheus({ query: 'x'.repeat(4097) }))).toHaveLength(1);
    expect(messagesOf(prometheusSchema, prometheus({ query: '' }))).toHaveLength(1);
  });

  it('checks a query of the greatest length in linear time', () => {
    // Each brace could be read in two ways by a careless pattern: this would then take longer than the universe has.
    expect(messagesOf(prometheusSchema, prometheus({ query: `${'{x'.repeat(2047)}{{` }))).toHaveLength(1);
  });
});

describe('a metric of a web server', () => {
  it.each([
    'https://scores.example/v1?adapter={{canary.adapter}}&of={{stable.digest}}',
    'http://127.0.0.1:8080',
    'http://[fd00::7]:80/{{ namespace }}/{{rollout}}',
    'https://x.example?a[0]=%20',
  ])('may be asked of %s', (url) => {
    expect(messagesOf(httpSchema, http({ url }))).toEqual([]);
  });

  it.each([
    ['gopher://x/', 'must start with http:// or https://'],
    ['https://token@x.example/', 'must not have a user or a password'],
    ['https://x.example/#top', 'must not have a fragment'],
    ['https://{{rollout}}.example/', 'placeholders stand after the host'],
    ['https://x.example/{{user}}', 'placeholders stand after the host'],
    ['https://x.example/a b', 'must be a URL with a host'],
    ['https://x.example/\r\nx: y', 'must be a URL with a host'],
    ['https:///v1', 'must be a URL with a host'],
  ])('is not asked of %j', (url, message) => {
    expect(messagesOf(httpSchema, http({ url }))).toEqual([expect.stringContaining(message)]);
  });

  it.each([
    '$',
    '$.a.b[0].c',
    '{.a.b}',
    '{.adapters.{{canary.adapter}}}',
    "$['a b'].c",
    '$["sql.v2"][12]',
    "$['{{canary.digest}}'].errors",
    '$.x-{{rollout}}.y',
  ])('has its number at %s', (jsonPath) => {
    expect(messagesOf(httpSchema, http({ jsonPath }))).toEqual([]);
  });

  it.each([
    ['a.b', 'must start with "$" or "{."'],
    ['', 'must start with "$" or "{."'],
    ['{}', 'must be names and indexes'],
    ['{.a', 'must be names and indexes'],
    ['$.a}', 'must be names and indexes'],
    ['$..a', 'must be names and indexes'],
    ['$.a[*]', 'must be names and indexes'],
    ['$.a[?(@.b>1)]', 'must be names and indexes'],
    ['$.a[-1]', 'must be names and indexes'],
    ['$.{{user}}', 'must be names and indexes'],
  ])('does not have it at %j', (jsonPath, message) => {
    expect(messagesOf(httpSchema, http({ jsonPath }))).toEqual([expect.stringContaining(message)]);
  });
});
