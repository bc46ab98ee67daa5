import { describe, expect, it } from 'vitest';
import type { SourceSecret } from '../api/source.ts';
import { codeOf } from '../errors/code-of.fixture.ts';
import type { KubeApi } from '../kube/client/api.ts';
import { FakeClock } from '../time/fake-clock.ts';
import { type SourceSecretParts, sourceSecrets } from './source-secrets.ts';

const never = new AbortController().signal;
const label = 'adaptlet.io/pull';
const token: SourceSecret = {
  place: 'hf://a/b',
  ref: { name: 'hub', key: 'token' },
  header: 'Authorization',
  is: 'Token',
};
const header: SourceSecret = { ...token, place: 'https://files.example/a.tar', is: 'Header' };

const start = (
  value: string,
  more: Partial<SourceSecretParts> = {},
  metadata: object = {},
  type = 'Opaque',
) => {
  const data = { token: Buffer.from(value).toString('base64') };
  const annotations = { 'adaptlet.io/hosts': '*.other.example, files.example' };
  const all = { labels: { [label]: 'true' }, annotations, ...metadata };
  const api = { request: async () => ({ metadata: all, data, type }) } as unknown as Pick<KubeApi, 'request'>;
  const parts = { api, clock: new FakeClock(), namespace: 'adaptlet-system', label, lifetimeMs: 300_000 };
  return sourceSecrets({ ...parts, passwords: 'allow', ...more });
};

describe('what a node asks a web server or a hub with', () => {
  it('is the value of the key, for some minutes: a token, or a whole header', async () => {
    expect(await start('hf_abc\n')('team-a', token, never)).toEqual({
      header: 'Bearer hf_abc',
      lifetimeMs: 300_000,
    });
    expect(await start('Basic YTpi')('team-a', header, never)).toMatchObject({ header: 'Basic YTpi' });
  });

  it('stays at the operator unless the administrator lets nodes have passwords', async () => {
    const asked = start('hf_abc', { passwords: 'deny' })('team-a', token, never);
    await expect(asked).rejects.toMatchObject({ code: 'PULL_SECRET' });
    await expect(asked).rejects.toThrow(/credentials\.passwords: allow/);
  });

  it.each([
    ['two lines', 'a\nb', header],
    ['a token with a space', 'a b', token],
    ['nothing', '', token],
  ])('is refused when it is %s, without a word of it', async (_, value, secret) => {
    const asked = start(value)('team-a', secret, never);
    await expect(asked).rejects.toMatchObject({ code: 'PULL_SECRET' });
    if (value !== '') await expect(asked).rejects.not.toThrow(value);
  });

  it('is sent to no web server that the owner of the Secret did not list', async () => {
    const to = (place: string) => start('word')('team-a', { ...header, place }, never);
    expect(await to('https://a.other.example/x')).toMatchObject({ header: 'word' });
    for (const place of [
      'https://evil.example/files.example',
      'https://other.example/',
      'https://files.example.evil/',
    ])
      await expect(to(place), place).rejects.toMatchObject({ code: 'PULL_SECRET' });
    for (const annotations of [undefined, {}, { 'adaptlet.io/hosts': '' }, { 'adaptlet.io/hosts': '*' }])
      expect(await codeOf(() => start('word', {}, { annotations })('team-a', header, never))).toBe(
        'PULL_SECRET',
      );
  });

  it('is sent to the port of HTTPS of a host that is listed without one, to one that is listed, and with :* to all', async () => {
    const asked = (url: string, hosts: string) => {
      const annotations = { 'adaptlet.io/hosts': hosts };
      return codeOf(() => start('word', {}, { annotations })('team-a', { ...header, place: url }, never));
    };
    const [plain, other] = ['https://files.example/x', 'https://files.example:8443/x'];
    expect(await asked(other, 'files.example')).toBe('PULL_SECRET');
    expect(await asked('http://files.example:443/x', 'files.example')).toBe('PULL_SECRET');
    expect(await asked(plain, 'files.example:8443')).toBe('PULL_SECRET');
    for (const [url, hosts] of [
      [plain, 'files.example'],
      [other, 'files.example:8443'],
      [plain, 'files.example:*'],
      [other, '*.example:*'],
    ] as const)
      expect(await asked(url, hosts), `${url} ${hosts}`).toBe('none');
  });

  it('is not out of a Secret for registries', async () => {
    const asked = start('{}', {}, {}, 'kubernetes.io/dockerconfigjson')('team-a', token, never);
    await expect(asked).rejects.toThrow(/is not of type Opaque/);
  });

  it('is in a Secret that its owner labelled, and in a key that is there', async () => {
    expect(await codeOf(() => start('x', {}, { labels: {} })('team-a', token, never))).toBe('PULL_SECRET');
    const other = { ...token, ref: { name: 'hub', key: 'other' } };
    expect(await codeOf(() => start('x')('team-a', other, never))).toBe('PULL_SECRET');
  });
});
