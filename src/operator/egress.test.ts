import { describe, expect, it } from 'vitest';
import { serve } from '../egress/loopback-server.fixture.ts';
import { codeOf } from '../errors/code-of.fixture.ts';
import { createMeasure } from '../measurement/measure.ts';
import { systemClock } from '../time/clock.ts';
import { apiServerAddresses, openEgress } from './egress.ts';
import { operatorRegistry, tagResolver } from './tags.ts';

type Rules = Partial<Parameters<typeof openEgress>[0]>;
const open = (rules: Rules = {}, apiServer: readonly string[] = []) =>
  openEgress(
    { egressAllow: [], egressDeny: [], metricHosts: [], insecureRegistries: [], ...rules },
    apiServer,
  );
const resolver = (rules: Rules) => {
  const registry = operatorRegistry(
    { registryConfig: undefined, insecureRegistries: rules.insecureRegistries ?? [] },
    { clock: systemClock, random: () => 0, fetch: open(rules).registries },
  );
  const resolve = tagResolver(registry, { login: () => Promise.resolve(undefined) });
  return (image: string, signal: AbortSignal) => resolve('team-a', { image }, signal);
};
const never = new AbortController().signal;
const manifest = '{}';

describe('the resolution of a tag', () => {
  it('asks a registry on this machine only where it is listed, plain HTTP included', async () => {
    const { asked, paths, host } = await serve((_, response) => void response.end(manifest));
    expect(await codeOf(() => resolver({})(`${host}/a:v1`, never))).toBe('EGRESS_DENIED');
    expect(asked).toEqual([]);
    expect(await resolver({ insecureRegistries: [host] })(`${host}/a:v1`, never)).toMatch(/^sha256:/);
    expect(paths()).toEqual(['/v2/a/manifests/v1']);
  });

  it('does not follow a registry to a token service on this machine', async () => {
    const inner = await serve((_, response) => void response.end('{"token": "t"}'));
    const { host } = await serve((_, response) => {
      response.writeHead(401, { 'www-authenticate': `Bearer realm="http://${inner.host}/token"` }).end();
    });
    const denied = await codeOf(() => resolver({ insecureRegistries: [host] })(`${host}/a:v1`, never));
    expect(denied).toBe('REGISTRY_INSECURE');
    // Also where the scheme is no reason.
    const secure = await serve((_, response) => {
      response.writeHead(401, { 'www-authenticate': `Bearer realm="https://${inner.host}/token"` }).end();
    });
    expect(
      await codeOf(() => resolver({ insecureRegistries: [secure.host] })(`${secure.host}/a:v1`, never)),
    ).toBe('EGRESS_DENIED');
    expect(inner.asked).toEqual([]);
  });

  it('does not follow a redirect to the metadata of an instance', async () => {
    const { asked, host } = await serve((_, response) => {
      response.writeHead(307, { location: 'https://169.254.169.254/latest/meta-data' }).end();
    });
    expect(await codeOf(() => resolver({ insecureRegistries: [host] })(`${host}/a:v1`, never))).toBe(
      'EGRESS_DENIED',
    );
    expect(asked).toHaveLength(1);
  });
});

describe('a metric', () => {
  const source = (host: string) => ({ http: { url: `http://${host}/`, jsonPath: '$.n' } });
  const variables = { namespace: 'a', rollout: 'b' };
  it('is read from this machine only where it is listed', async () => {
    const { asked, host } = await serve((_, response) => {
      response.setHeader('content-type', 'application/json').end('{"n": 7}');
    });
    const measure = (rules: Rules) =>
      createMeasure({ fetch: open(rules).metrics, hosts: [] })(source(host), variables, never);
    expect(await codeOf(() => measure({}))).toBe('EGRESS_DENIED');
    expect(asked).toEqual([]);
    expect(await measure({ egressAllow: ['127.0.0.0/8'] })).toBe(7);
    expect(await measure({ metricHosts: [host] })).toBe(7);
  });
});

describe('the addresses of the API server', () => {
  const lookup = async () => [{ address: '192.0.2.1', family: 4 }];
  it('are that of its URL, by name or not, and that which pods are told', async () => {
    expect(await apiServerAddresses('https://10.0.0.1:6443', {})).toEqual(['10.0.0.1:6443']);
    expect(await apiServerAddresses('https://[fd00::1]:6443', {})).toEqual(['[fd00:0:0:0:0:0:0:1]:6443']);
    const told = { KUBERNETES_SERVICE_HOST: '10.43.0.1', KUBERNETES_SERVICE_PORT: '443' };
    expect(await apiServerAddresses('https://kube.example', told, lookup)).toEqual([
      '192.0.2.1:443',
      '10.43.0.1:443',
    ]);
    const nobody = () => Promise.reject(new Error('no such name'));
    expect(await apiServerAddresses('https://kube.example', {}, nobody)).toEqual([]);
  });

  it('are open to no tenant, whatever is listed', async () => {
    const { asked, host } = await serve((_, response) => void response.end());
    const { metrics } = open({ egressAllow: ['127.0.0.0/8'] }, [host]);
    expect(await codeOf(() => metrics(`http://${host}/`, { redirect: 'manual' }))).toBe('EGRESS_DENIED');
    expect(asked).toEqual([]);
  });
});
