import { inspect } from 'node:util';
import { describe, expect, it } from 'vitest';
import type { SecretRef } from '../api/metric-source.ts';
import { AdaptletError } from '../errors/adaptlet-error.ts';
import type { KubeApi } from '../kube/client/api.ts';
import { createMeasure } from '../measurement/measure.ts';
import { Measurements } from '../measurement/measurements.ts';
import { FakeClock } from '../time/fake-clock.ts';
import { metricCredentials } from './metric-credentials.ts';
import { keptMs } from './secret-values.ts';

const never = new AbortController().signal;
const token = 'tok-3v3ryb0dy-w0uld-l1k3-th1s';
const bearer: SecretRef = { name: 'login', key: 'token', scheme: 'Bearer' };
const basic: SecretRef = { ...bearer, key: 'pair', scheme: 'Basic' };
const base64 = (value: string): string => Buffer.from(value).toString('base64');

type Found = { labels?: Record<string, string>; data?: Record<string, string> };

/** A cluster with one Secret, or with a reason why it is not given. */
const start = (found: Found | AdaptletError = {}) => {
  const clock = new FakeClock();
  const asked: string[] = [];
  const secret = { labels: { 'adaptlet.io/metrics': 'true' }, data: { token: base64(`${token}\n`) } };
  const api = {
    request: async ({ path }: { readonly path: string }) => {
      asked.push(path);
      if (found instanceof AdaptletError) throw found;
      const { labels, data } = { ...secret, ...found };
      return { kind: 'Secret', metadata: { name: 'login', labels }, data };
    },
  } as unknown as Pick<KubeApi, 'request'>;
  return { clock, asked, credentials: metricCredentials({ api, clock, namespace: 'adaptlet-system' }) };
};

describe('the credentials of a metric', () => {
  it('are a token, or a user with a password, out of the Secret of the namespace', async () => {
    const { asked, credentials } = start();
    expect(await credentials('team-a', bearer, never)).toBe(`Bearer ${token}`);
    expect(asked).toEqual(['/api/v1/namespaces/team-a/secrets/login']);
    const pair = start({ data: { pair: base64('me:secret') } });
    expect(await pair.credentials('team-a', basic, never)).toBe(`Basic ${base64('me:secret')}`);
  });

  it('are read anew after some seconds, and at once after a failure', async () => {
    const { asked, clock, credentials } = start();
    await credentials('team-a', bearer, never);
    clock.advance(keptMs - 1);
    await credentials('team-a', bearer, never);
    expect(asked).toHaveLength(1);
    clock.advance(1);
    await credentials('team-a', bearer, never);
    await credentials('team-b', bearer, never);
    expect(asked).toHaveLength(3);
    const failing = start({ data: {} });
    for (const _ of [1, 2]) await expect(failing.credentials('team-a', bearer, never)).rejects.toThrow();
    expect(failing.asked).toHaveLength(2);
  });

  it.each([
    [
      'may not be read',
      new AdaptletError('KUBE_FORBIDDEN', 'secrets "login" is forbidden'),
      /may not read Secret team-a\/login\. Ask the administrator to list the namespace team-a in credentials\.namespaces/,
    ],
    ['do not exist', new AdaptletError('KUBE_NOT_FOUND', 'no'), /there is no Secret team-a\/login/],
    ['are not meant for metrics', { labels: {} }, /does not have the label adaptlet\.io\/metrics: "true"/],
    ['have no such key', { data: { other: 'eA==' } }, /has no key token/],
    ['are no token', { data: { token: base64(`${token}\nX-Evil: 1`) } }, /is not a token on one line/],
  ])('that %s are an error that says what to do', async (_, found, says) => {
    const asked = start(found).credentials('team-a', bearer, never);
    await expect(asked).rejects.toThrow(says);
    await expect(asked).rejects.toMatchObject({ code: 'METRIC_CREDENTIALS' });
    await asked.catch((error: unknown) => expect(inspect(error, { depth: 9 })).not.toContain(token));
  });

  it('that are no user and password are an error without them', async () => {
    const { credentials } = start({ data: { pair: base64(token) } });
    await expect(credentials('team-a', basic, never)).rejects.toThrow(/is not user:password/);
    await expect(credentials('team-a', basic, never)).rejects.not.toThrow(token);
  });

  it('are never those of the operator', async () => {
    const { asked, credentials } = start();
    await expect(credentials('adaptlet-system', bearer, never)).rejects.toThrow(/namespace of the operator/);
    expect(asked).toEqual([]);
  });
});

describe('a server that is asked with credentials', () => {
  const json = { headers: { 'content-type': 'application/json' } };
  const echoes = (header: string): [string, () => Promise<Response>][] => {
    const error = { status: 'error', errorType: 'bad_data', error: `you sent ${header}` };
    const vector = { resultType: header, result: [] };
    return [
      ['in an error', async () => new Response(JSON.stringify(error), { status: 400, ...json })],
      [
        'escaped',
        async () => new Response(JSON.stringify(error).replaceAll('t', '\\u0074'), { status: 400, ...json }),
      ],
      ['in a result', async () => new Response(JSON.stringify({ status: 'success', data: vector }), json)],
      [
        'as a value',
        async () =>
          new Response(
            JSON.stringify({ status: 'success', data: { resultType: 'scalar', result: [1, header] } }),
            json,
          ),
      ],
      ['in a text', async () => new Response(header, { status: 500 })],
      [
        'by a broken connection',
        async () => Promise.reject(new TypeError('fetch failed', { cause: new Error('ECONNRESET') })),
      ],
    ];
  };

  it.each([
    ...echoes(`Bearer ${token}`).map(([how, answer]) => [how, bearer, answer] as const),
    ...echoes(`Basic ${base64(`me:${token}`)} me:${token}`).map(
      ([how, answer]) => [how, basic, answer] as const,
    ),
  ])('gets them, and what it quotes %s is in no result', async (_, secretRef, answer) => {
    const sent: string[] = [];
    const { credentials, clock } = start({ data: { token: base64(token), pair: base64(`me:${token}`) } });
    const fetcher: typeof fetch = (_url, init) => {
      sent.push(new Headers(init?.headers).get('authorization') ?? '');
      return answer();
    };
    const told = Promise.withResolvers<void>();
    const measurements = new Measurements({
      clock,
      measure: createMeasure({ fetch: fetcher, hosts: [], credentials }),
      changed: () => told.resolve(),
    });
    const source = { prometheus: { address: 'https://prometheus', query: 'up', secretRef } };
    measurements.ask('m', 0, source, { namespace: 'team-a', rollout: 'sql' });
    await told.promise;
    expect(sent).toEqual([expect.stringMatching(/^(Bearer tok-|Basic )/)]);
    const result = JSON.stringify(measurements.result('m', 0));
    expect(result).toContain('error');
    for (const secret of [token, base64(`me:${token}`)]) expect(result).not.toContain(secret);
  });
});

it('a node without a cluster has no credentials, and asks nothing', async () => {
  const measure = createMeasure({ fetch: () => Promise.reject(new Error('asked')), hosts: [] });
  const source = { http: { url: 'https://a/', jsonPath: '$.n', secretRef: bearer } };
  await expect(measure(source, { namespace: 'a', rollout: 'b' }, never)).rejects.toThrow(
    /there are no Secrets here/,
  );
});
