import { describe, expect, it } from 'vitest';
import { codeOf } from '../errors/code-of.fixture.ts';
import { FakeClock } from '../time/fake-clock.ts';
import { credentialsOf, entryFor, parseDockerConfig } from './docker-config.ts';
import { parseReference } from './reference.ts';
import { RegistryHttp } from './registry-http.ts';

const never = new AbortController().signal;
const image = parseReference('registry.example/team-a/sql:v1');
const config = parseDockerConfig(
  JSON.stringify({
    auths: {
      'registry.example': { auth: Buffer.from('0:').toString('base64'), identitytoken: 'refresh-me' },
    },
  }),
  'it',
);
const credentials = async (registry: string, repository: string) => {
  const entry = entryFor(config, registry, repository);
  return entry && credentialsOf(entry);
};

type Asked = { readonly url: string; readonly method: string; readonly sent: string; readonly body: string };

/** A registry whose token service takes refresh tokens. */
const start = (challenge: string, answer: () => Response) => {
  const asked: Asked[] = [];
  const fetcher: typeof fetch = async (input, init) => {
    const request = new Request(input, init);
    const sent = request.headers.get('authorization') ?? '';
    const { url, method } = request;
    asked.push({ url, method, sent, body: await request.text() });
    if (url.startsWith('https://auth.example/')) return answer();
    if (sent === 'Bearer access') return new Response('{}');
    return new Response('', { status: 401, headers: { 'www-authenticate': challenge } });
  };
  const clock = new FakeClock();
  const http = new RegistryHttp({ fetch: fetcher, clock, insecureHosts: [], idleMs: 1_000, credentials });
  const get = async () => {
    await using answered = await http.get(image, 'manifests/v1', {}, never);
    return answered.response.status;
  };
  return { asked, get };
};
const challenge =
  'Bearer realm="https://auth.example/token?tenant=7",service="registry.example",scope="repository:team-a/sql:pull"';

describe('an identity token of a docker config', () => {
  it('is exchanged by a POST to the token service, and goes nowhere else', async () => {
    const { asked, get } = start(challenge, () => Response.json({ access_token: 'access', expires_in: 300 }));
    expect(await get()).toBe(200);
    expect(asked.map(({ method, url, sent }) => `${method} ${url} ${sent}`)).toEqual([
      'GET https://registry.example/v2/team-a/sql/manifests/v1 ',
      'POST https://auth.example/token?tenant=7 ',
      'GET https://registry.example/v2/team-a/sql/manifests/v1 Bearer access',
    ]);
    expect(Object.fromEntries(new URLSearchParams(asked[1]?.body))).toEqual({
      grant_type: 'refresh_token',
      refresh_token: 'refresh-me',
      client_id: 'adaptlet',
      service: 'registry.example',
      scope: 'repository:team-a/sql:pull',
    });
  });

  it.each([
    ['the service refuses it', challenge, () => new Response('{"detail":"refresh-me"}', { status: 401 })],
    ['the service leads elsewhere', challenge, () => Response.redirect('https://evil.example/', 307)],
    ['the service has no token for it', challenge, () => Response.json({ refresh_token: 'refresh-me' })],
    ['the registry wants a password', 'Basic realm="r"', () => new Response()],
  ])('is denied where %s, without a word of it', async (_, header, answer) => {
    const { asked, get } = start(header, answer);
    expect(await codeOf(get)).toBe('REGISTRY_DENIED');
    await expect(get()).rejects.not.toThrow(/refresh-me/);
    expect(asked.filter(({ url }) => !/^https:\/\/(auth|registry)\.example\//.test(url))).toEqual([]);
  });
});
