import { inspect } from 'node:util';
import { describe, expect, it, vi } from 'vitest';
import { AdaptletError } from '../errors/adaptlet-error.ts';
import { codeOf } from '../errors/code-of.fixture.ts';
import type { KubeApi } from '../kube/client/api.ts';
import { FakeClock } from '../time/fake-clock.ts';
import { handedMs, PullCredentials, type PullParts } from './pull-credentials.ts';
import { keptMs } from './secret-values.ts';
import { operatorRegistry, tagResolver } from './tags.ts';

const never = new AbortController().signal;
const base64 = (text: string): string => Buffer.from(text).toString('base64');
const host = 'registry.example';
const source = { image: `${host}/team-a/sql:v1`, pullSecretRef: { name: 'login' } };
const question = { namespace: 'team-a', source, isRefused: false };

type Secret = { version: string; type: string; labels: Record<string, string>; config: string };
const configOf = (password: string, key: string = host): string =>
  JSON.stringify({ auths: { [key]: { username: 'edge', password } } });
const secretWith = (password: string, more: Partial<Secret> = {}): Secret => ({
  version: '1',
  type: 'kubernetes.io/dockerconfigjson',
  labels: { 'adaptlet.io/pull': 'true' },
  config: configOf(password),
  ...more,
});

type Setup = Partial<Pick<PullParts, 'passwords'>> & {
  /** What the registry answers to who is not logged in. */
  readonly challenge?: string;
  /** The token that its service gives; default: one that names user, password and a number. */
  readonly token?: (basic: string) => string;
  /** A namespace whose requests are not answered. */
  readonly hangs?: string;
};

/** A cluster with Secrets, and a registry with a token service that knows the passwords `one` and `two`. */
const start = ({ passwords = 'deny', challenge, token, hangs = 'none' }: Setup = {}) => {
  const clock = new FakeClock();
  const secrets = new Map<string, Secret>([['team-a/login', secretWith('one')]]);
  const read: string[] = [];
  const api = {
    request: async ({ path }: { readonly path: string }) => {
      read.push(path);
      const [, namespace = '', name = ''] = /namespaces\/(.*)\/secrets\/(.*)$/.exec(path) ?? [];
      const found = secrets.get(`${namespace}/${name}`);
      if (found === undefined) throw new AdaptletError('KUBE_NOT_FOUND', path);
      const { version: resourceVersion, labels, type, config } = found;
      const metadata = { namespace, name, uid: `uid-${namespace}`, resourceVersion, labels };
      return { kind: 'Secret', metadata, type, data: { '.dockerconfigjson': base64(config) } };
    },
  } as unknown as Pick<KubeApi, 'request'>;
  /** Tokens that were given, with the password behind each. */
  const tokens = new Map<string, string>();
  const asked: { readonly scope: string | null; readonly basic: string }[] = [];
  const state = { known: ['one', 'two'], revoked: new Set<string>() };
  const realm = `Bearer realm="https://auth.example/token",service="r",scope="repository:team-a/sql:pull,push"`;
  const fetcher: typeof fetch = async (input, init) => {
    const url = new URL(input instanceof Request ? input.url : input);
    if (url.pathname.includes(`/${hangs}/`)) return await new Promise(() => undefined);
    const sent = new Headers(init?.headers).get('authorization') ?? '';
    if (url.host === 'auth.example') {
      const form =
        init?.method === 'POST' ? new URLSearchParams(await new Response(init.body).text()) : undefined;
      const [, secret = ''] = Buffer.from(sent.slice('Basic '.length), 'base64').toString().split(':');
      const password = form?.get('refresh_token') ?? secret;
      asked.push({ scope: (form ?? url.searchParams).get('scope'), basic: sent });
      if (!state.known.includes(password)) return new Response('{}', { status: 401 });
      const given = token?.(sent) ?? `token-${tokens.size}-of-${password}`;
      tokens.set(`Bearer ${given}`, password);
      return Response.json({ token: given, expires_in: 3600 });
    }
    const isBasic = sent === `Basic ${base64('edge:one')}` && challenge?.startsWith('Basic') === true;
    if (isBasic || (tokens.has(sent) && !state.revoked.has(sent))) return new Response('{"a":1}');
    return new Response('', { status: 401, headers: { 'www-authenticate': challenge ?? realm } });
  };
  const settings = { registryConfig: undefined, insecureRegistries: [] };
  const registry = operatorRegistry(settings, { clock, random: () => 0, fetch: fetcher });
  const credentials = new PullCredentials({ api, clock, namespace: 'adaptlet-system', registry, passwords });
  return { clock, secrets, read, asked, state, tokens, credentials, registry };
};

describe('the credential of a node for a source with a pullSecretRef', () => {
  it('is a token for reading that repository alone, whatever the registry names, and for minutes', async () => {
    const { credentials, asked, read } = start();
    const given = await credentials.forNode(question);
    expect(given).toEqual({ header: 'Bearer token-0-of-one', lifetimeMs: handedMs });
    expect(asked).toEqual([{ scope: 'repository:team-a/sql:pull', basic: `Basic ${base64('edge:one')}` }]);
    expect(read).toEqual(['/api/v1/namespaces/team-a/secrets/login']);
  });

  it('is exchanged for an identity token, which the node never sees', async () => {
    const { credentials, secrets, asked } = start();
    const config = JSON.stringify({ auths: { [host]: { auth: base64('edge:no'), identitytoken: 'two' } } });
    secrets.set('team-a/login', secretWith('', { config }));
    expect(await credentials.forNode(question)).toEqual({
      header: 'Bearer token-0-of-two',
      lifetimeMs: handedMs,
    });
    expect(asked).toEqual([{ scope: 'repository:team-a/sql:pull', basic: '' }]);
  });

  it('is asked for once for a whole fleet, and again when it ends', async () => {
    const { credentials, asked, clock } = start();
    const all = await Promise.all(Array.from({ length: 200 }, () => credentials.forNode(question)));
    expect(new Set(all.map((given) => given?.header)).size).toBe(1);
    await credentials.forNode(question);
    expect(asked).toHaveLength(1);
    clock.advance(3_600_000);
    expect((await credentials.forNode(question))?.header).toBe('Bearer token-1-of-one');
  });

  it('follows a Secret that is rotated, and ends with one that is deleted', async () => {
    const { credentials, secrets, clock, tokens } = start();
    await credentials.forNode(question);
    secrets.set('team-a/login', secretWith('two', { version: '2' }));
    expect((await credentials.forNode(question))?.header).toBe('Bearer token-0-of-one');
    clock.advance(keptMs);
    expect((await credentials.forNode(question))?.header).toBe('Bearer token-1-of-two');
    expect([...tokens.values()]).toEqual(['one', 'two']);
    secrets.delete('team-a/login');
    clock.advance(keptMs);
    await expect(credentials.forNode(question)).rejects.toThrow(/there is no Secret team-a\/login/);
    expect(await codeOf(() => credentials.forNode(question))).toBe('PULL_SECRET');
  });

  it('is another one when the registry refuses the first, but not as often as nodes say so', async () => {
    const { credentials, state, clock, asked } = start();
    const first = await credentials.forNode(question);
    state.revoked.add(first?.header ?? '');
    const again = { ...question, isRefused: true };
    expect((await credentials.forNode(again))?.header).toBe(first?.header);
    clock.advance(10_000);
    expect((await credentials.forNode(again))?.header).toBe('Bearer token-1-of-one');
    for (let i = 0; i < 50; i++) await credentials.forNode(again);
    expect(asked).toHaveLength(2);
  });

  it('is never that of another namespace with a Secret of the same name', async () => {
    const { credentials, secrets, read } = start();
    secrets.set('team-b/login', secretWith('two'));
    expect((await credentials.forNode(question))?.header).toBe('Bearer token-0-of-one');
    const other = { ...question, namespace: 'team-b' };
    expect((await credentials.forNode(other))?.header).toBe('Bearer token-1-of-two');
    expect(read.map((path) => path.split('/')[4])).toEqual(['team-a', 'team-b']);
    const operator = { ...question, namespace: 'adaptlet-system' };
    await expect(credentials.forNode(operator)).rejects.toThrow(/in the namespace of the operator/);
  });

  it('is no password unless the administrator allows it, where the registry has no tokens', async () => {
    const challenge = 'Basic realm="r"';
    const denied = start({ challenge }).credentials;
    await expect(denied.forNode(question)).rejects.toThrow(
      /registry\.example gives no tokens, and nodes get no passwords\. .*credentials\.passwords: allow/,
    );
    const allowed = start({ challenge, passwords: 'allow' }).credentials;
    expect(await allowed.forNode(question)).toEqual({
      header: `Basic ${base64('edge:one')}`,
      lifetimeMs: handedMs,
    });
  });

  it.each([
    ['the password', () => 'one'],
    ['the password in base64', () => base64('one')],
    ['user and password', (basic: string) => basic.slice('Basic '.length)],
  ])('is no token that is %s', async (_, token) => {
    const denied = start({ token }).credentials;
    await expect(denied.forNode(question)).rejects.toThrow(/gives no tokens/);
    // The second time from memory.
    await expect(denied.forNode(question)).rejects.toThrow(/gives no tokens/);
    const allowed = start({ token, passwords: 'allow' }).credentials;
    expect((await allowed.forNode(question))?.header).toBe(`Bearer ${token(`Basic ${base64('edge:one')}`)}`);
  });

  it('is not what no header takes, which an error would quote', async () => {
    const { credentials } = start({ token: () => 'tok en\nX-Evil: 1' });
    const asked = credentials.forNode(question);
    await expect(asked).rejects.toThrow(/the token service auth\.example sent no token/);
    await asked.catch((error: unknown) => expect(inspect(error, { depth: 9 })).not.toContain('tok en'));
  });

  it.each<[string, Partial<Secret>, RegExp]>([
    ['has no label', { labels: {} }, /does not have the label adaptlet\.io\/pull: "true"/],
    ['is of another type', { type: 'Opaque' }, /is not of type kubernetes\.io\/dockerconfigjson/],
    ['is no JSON', { config: 'hunter2' }, /Secret team-a\/login is not JSON with "auths"/],
    [
      'is for another registry',
      { config: configOf('hunter2', 'other.example') },
      /has no entry for registry\.example\/team-a\/sql/,
    ],
    [
      'is for another path of the registry',
      { config: configOf('hunter2', `${host}/team-b`) },
      /has no entry for registry\.example\/team-a\/sql/,
    ],
    [
      'has an identity token that is not known',
      { config: JSON.stringify({ auths: { [host]: { identitytoken: 'hunter2' } } }) },
      /the token service auth\.example answered 401/,
    ],
    [
      'has no user and password in auth',
      { config: JSON.stringify({ auths: { [host]: { auth: base64('hunter2') } } }) },
      /its entry for registry\.example\/team-a\/sql has no password/,
    ],
    ['has a wrong password', { config: configOf('hunter2') }, /the token service auth\.example answered 401/],
  ])('is an error where the Secret %s, without what is in it', async (_, more, says) => {
    const { credentials, secrets } = start();
    secrets.set('team-a/login', secretWith('hunter2', more));
    const asked = credentials.forNode(question);
    await expect(asked).rejects.toThrow(says);
    await expect(asked).rejects.not.toThrow(/file/);
    await asked.catch((error: unknown) => {
      const text = inspect(error, { depth: 9 });
      for (const secret of ['hunter2', base64('hunter2'), base64('edge:hunter2')])
        expect(text).not.toContain(secret);
    });
  });

  it('that takes too long is given up', async () => {
    const { credentials, clock, secrets, read } = start({ hangs: 'team-a' });
    const asked = credentials.forNode(question);
    await vi.waitFor(() => expect(read).toHaveLength(1));
    clock.advance(15_000);
    await expect(asked).rejects.toThrow(/gave no token within 15 s/);
    expect(secrets.size).toBe(1);
  });

  it('does not wait for the registries that another namespace names', async () => {
    const { credentials, secrets, read } = start({ hangs: 'team-b' });
    secrets.set('team-b/login', secretWith('two'));
    for (let i = 0; i < 40; i++) {
      const image = `${host}/team-b/sql-${i}:v1`;
      void credentials.forNode({ ...question, namespace: 'team-b', source: { ...source, image } });
    }
    expect((await credentials.forNode(question))?.header).toBe('Bearer token-0-of-one');
    expect(read.filter((path) => path.includes('team-b'))).toHaveLength(4);
  });
});

describe('many questions', () => {
  it('are all answered in time: their turn counts, and who got none in time is told so', async () => {
    const { credentials, clock, read } = start({ hangs: 'team-a' });
    const told: string[] = [];
    for (let i = 0; i < 20; i++) {
      const image = `${host}/team-a/sql-${i}:v1`;
      const asked = credentials.forNode({ ...question, source: { ...source, image } });
      asked.catch((error: Error) => told.push(error.message));
    }
    await vi.waitFor(() => expect(read.length).toBeGreaterThan(0));
    clock.advance(15_000);
    await vi.waitFor(() => expect(told).toHaveLength(20));
    expect(told.filter((text) => text.includes('gave no token within 15 s'))).toHaveLength(4);
    expect(told.filter((text) => text.includes('too many credentials of the namespace'))).toHaveLength(16);
    // Nothing of it is asked any more.
    clock.advance(60_000);
    await new Promise(setImmediate);
    expect(read.length).toBeLessThanOrEqual(4);
  });

  it('of a namespace come to its registries at a pace, which what is remembered is no matter of', async () => {
    const { credentials, clock, secrets, asked } = start();
    secrets.set('team-b/login', secretWith('two'));
    const ask = (i: number, namespace = 'team-a') => {
      const image = `${host}/${namespace}/sql-${i}:v1`;
      return credentials.forNode({ ...question, namespace, source: { ...source, image } });
    };
    const all = Array.from({ length: 80 }, (_, i) => ask(i));
    await Promise.all(all.slice(0, 64));
    await ask(0, 'team-b');
    expect(asked).toHaveLength(65);
    let waited = 0;
    for (; asked.length < 81; waited += 125) {
      clock.advance(125);
      await new Promise(setImmediate);
    }
    expect(waited).toBeGreaterThan(1_500);
    expect(waited).toBeLessThan(4_000);
    await Promise.all(all);
    await Promise.all(Array.from({ length: 80 }, (_, i) => ask(i)));
    expect(asked).toHaveLength(81);
  });
});

describe('a tag of a source with a pullSecretRef', () => {
  it('is resolved with the Secret of its namespace, also where the registry has no tokens', async () => {
    for (const challenge of [undefined, 'Basic realm="r"']) {
      const { credentials, registry, secrets } = start(challenge === undefined ? {} : { challenge });
      const resolve = tagResolver(registry, credentials);
      expect(await resolve('team-a', source, never)).toMatch(/^sha256:/);
      expect(await codeOf(() => resolve('team-a', { image: source.image }, never))).toBe('REGISTRY_DENIED');
      expect(await codeOf(() => resolve('team-b', source, never))).toBe('PULL_SECRET');
      secrets.set('team-b/login', secretWith('wrong'));
      expect(await codeOf(() => resolve('team-b', source, never))).toBe('REGISTRY_DENIED');
    }
  });
});
