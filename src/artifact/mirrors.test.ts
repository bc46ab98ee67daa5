import { describe, expect, it } from 'vitest';
import { parseMirrors } from '../egress/mirrors.ts';
import { codeOf } from '../errors/code-of.fixture.ts';
import { FakeClock } from '../time/fake-clock.ts';
import { parseReference } from './reference.ts';
import { type Login, RegistryHttp } from './registry-http.ts';

const never = new AbortController().signal;
const digest = `sha256:${'a'.repeat(64)}`;
const image = parseReference('registry.example/team-a/sql:v1');
const basic = (user: string): string => `Basic ${Buffer.from(`${user}:word`).toString('base64')}`;

type Answers = Readonly<Record<string, (headers: Headers, method: string) => Response>>;

/** Servers by host; each request is noted with the credential that came with it. */
const start = (answers: Answers, login?: Login) => {
  const asked: string[] = [];
  const fetcher: typeof fetch = async (input, init) => {
    const { url, headers, method } = new Request(input, init);
    const { host, pathname, search } = new URL(url);
    asked.push(`${method} ${host}${pathname}${search} ${headers.get('authorization') ?? ''}`.trim());
    const answer = answers[host];
    if (answer === undefined) throw new TypeError('no network');
    return answer(headers, method);
  };
  const clock = new FakeClock();
  const http = new RegistryHttp({
    fetch: fetcher,
    clock,
    insecureHosts: [],
    idleMs: 1_000,
    credentials: async (registry) => ({ username: registry, password: 'word' }),
    mirrors: parseMirrors('registry.example=one.example,two.example:5000'),
  });
  const ask = async (path: string, method: 'GET' | 'HEAD' = 'GET', from = 0) => {
    const asks = login === undefined ? http : http.as(login);
    const headers: Record<string, string> = from === 0 ? {} : { range: `bytes=${from}-99` };
    await using answer = await asks.request(image, path, { method, headers }, never);
    return `${answer.response.status} ${await answer.response.text()}`;
  };
  return { asked, ask, clock };
};
const says = (text: string) => () => new Response(text);
const wants = (headers: Headers): Response =>
  headers.has('authorization')
    ? new Response('with a login')
    : new Response('', { status: 401, headers: { 'www-authenticate': 'Basic realm="m"' } });

const blob = `blobs/${digest}`;
const at = `/v2/team-a/sql/${blob}`;
const ns = '?ns=registry.example';

describe('mirrors of a registry', () => {
  it('are asked first, in their order, and their registry last', async () => {
    const { asked, ask } = start({
      'two.example:5000': () => new Response('', { status: 404 }),
      'registry.example': says('by the registry'),
    });
    expect(await ask(blob)).toBe('200 by the registry');
    expect(asked).toEqual([
      `GET one.example${at}${ns}`,
      `GET two.example:5000${at}${ns}`,
      `GET registry.example${at}`,
    ]);
  });

  it('have what a digest names: the first answer counts', async () => {
    const { asked, ask } = start({ 'one.example': says('by a mirror') });
    expect(await ask(blob)).toBe('200 by a mirror');
    expect(await ask(`manifests/${digest}`, 'HEAD')).toBe('200 by a mirror');
    expect(asked).toHaveLength(2);
  });

  it.each(['manifests/v1', 'tags/list', `referrers/${digest}`, 'blobs/uploads/', `blobs/${digest}/..`])(
    'are not asked for %s',
    async (path) => {
      const { asked, ask } = start({ 'one.example': says('no'), 'registry.example': says('yes') });
      expect(await ask(path)).toBe('200 yes');
      expect(asked).toHaveLength(1);
    },
  );

  it('get the credentials of their own host, and a registry its own', async () => {
    const { asked, ask } = start({ 'one.example': wants });
    expect(await ask(blob)).toBe('200 with a login');
    expect(asked).toEqual([`GET one.example${at}${ns}`, `GET one.example${at}${ns} ${basic('one.example')}`]);
  });

  it('that refuse, fail or break are passed over', async () => {
    for (const status of [401, 403, 404, 429, 500]) {
      const { ask } = start({
        'one.example': () => new Response('', { status }),
        'two.example:5000': () => Response.redirect('http://127.0.0.1/', 307),
        'registry.example': says('yes'),
      });
      expect(await ask(blob), String(status)).toBe('200 yes');
    }
    expect(await codeOf(() => start({}).ask(blob))).toBe('REGISTRY_UNAVAILABLE');
  });

  it('that have other bytes under a digest are passed over: a manifest at once, a blob when it is wanted again', async () => {
    const { ask } = start({
      'one.example': says('other bytes'),
      'two.example:5000': says('others'),
      'registry.example': says('yes'),
    });
    expect(await ask(`manifests/${digest}`)).toBe('200 yes');
    expect([await ask(blob), await ask(blob), await ask(blob), await ask(blob)]).toEqual([
      '200 other bytes',
      '200 others',
      '200 yes',
      '200 yes',
    ]);
  });

  it('that break off again and again are passed over, also for the rest of a blob', async () => {
    const { ask } = start({ 'one.example': says('half'), 'registry.example': says('the registry') });
    expect(await ask(blob)).toBe('200 half');
    // It brought something: it may go on.
    expect(await ask(blob, 'GET', 50)).toBe('200 half');
    expect(await ask(blob, 'GET', 50)).toBe('200 the registry');
    expect(await ask(blob, 'GET', 40)).toBe('200 the registry');
    expect(await ask(blob)).toBe('200 the registry');
    expect(await ask(blob, 'GET', 60)).toBe('200 half');
  });

  it('that were passed over are asked again where the registry does not have it, or does not answer', async () => {
    const missing = { 'registry.example': () => new Response('', { status: 404 }) };
    for (const registry of [missing, {}]) {
      const { ask } = start({ 'one.example': says('a mirror'), ...registry });
      expect(await ask(blob)).toBe('200 a mirror');
      const again = await ask(blob).catch((error: unknown) => String(error));
      expect(again).not.toContain('a mirror');
      expect(await ask(blob)).toBe('200 a mirror');
    }
  });

  it('that give no answer are left alone for a minute', async () => {
    const { asked, ask, clock } = start({ 'two.example:5000': says('yes') });
    let files = 0;
    const hostsOf = async () => {
      asked.length = 0;
      files += 1;
      await ask(`blobs/sha256:${String(files).repeat(64)}`);
      return asked.length;
    };
    expect([await hostsOf(), await hostsOf()]).toEqual([2, 1]);
    clock.advance(60_000);
    expect(await hostsOf()).toBe(2);
  });

  it('are not asked for who shows a credential of a namespace', async () => {
    const login: Login = {
      name: 'team-a',
      authorize: async () => ({ header: 'Bearer own', lifetimeMs: 1_000 }),
    };
    const { asked, ask } = start({ 'one.example': says('no'), 'registry.example': wants }, login);
    expect(await ask(blob)).toBe('200 with a login');
    expect(asked).toEqual([`GET registry.example${at}`, `GET registry.example${at} Bearer own`]);
  });
});

describe('the setting of mirrors', () => {
  it('names hosts of a registry in their order', () => {
    expect([...parseMirrors(' docker.io=a:5000, B.example ; ghcr.io=[::1]:5000;')]).toEqual([
      ['docker.io', ['a:5000', 'b.example']],
      ['ghcr.io', ['[::1]:5000']],
    ]);
    expect(parseMirrors('').size).toBe(0);
  });
  it.each(['docker.io', 'docker.io=', 'a=b=c', 'a=https://b', 'a=b/c', 'a=a', 'a=b;a=c', 'a b=c', '*=c'])(
    'is not %j',
    (text) => {
      expect(() => parseMirrors(text)).toThrow(RangeError);
    },
  );
});
