import { join } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import { folderOfTest } from '../../test/support/temporary-folder.ts';
import { FakeClock } from '../time/fake-clock.ts';
import { digestOf } from './digest.ts';
import type { Credentials } from './docker-config.ts';
import { HttpClient } from './http-client.ts';
import { parseReference } from './reference.ts';
import { Registry } from './registry.ts';
import { SourceHttp } from './source-http.ts';

const never = new AbortController().signal;
const content = Buffer.from('the weights');
const blob = { mediaType: 'x', digest: digestOf(content), size: content.length };
const password: Credentials = { username: 'u', password: 'p' };
const basic = `Basic ${Buffer.from('u:p').toString('base64')}`;
/** Leads to a service that would take a password. */
const bait = { 'www-authenticate': 'Bearer realm="https://tokens.evil/token",service="r.test"' };

let root: string;
beforeEach(() => {
  root = folderOfTest();
});

/** Registry, token service and storage; waits pass at once. `storage` answers where the registry leads. */
const start = (storage: (count: number) => Response) => {
  const asked: string[] = [];
  let tokens = 0;
  let stored = 0;
  const fetcher: typeof fetch = async (input, init) => {
    const { url, headers } = new Request(input, { ...init, signal: null });
    const authorization = headers.get('authorization');
    const { host } = new URL(url);
    asked.push(`${host} ${authorization ?? '-'}`);
    if (host === 'tokens.test') return Response.json({ token: `t${++tokens}`, expires_in: 300 });
    if (host === 'storage.test') return storage(++stored);
    if (host !== 'r.test') return Response.json({ token: 'evil' });
    if (authorization?.startsWith('Bearer t') === true)
      return new Response(null, { status: 307, headers: { location: 'https://storage.test/x?signature=s' } });
    const realm = 'Bearer realm="https://tokens.test/token",service="r.test"';
    return new Response(null, { status: 401, headers: { 'www-authenticate': realm } });
  };
  const clock = Object.assign(new FakeClock(), {
    after: (ms: number, fn: () => void) => {
      // The watch over a silent connection.
      if (ms === 1_000) return () => undefined;
      const timer = setImmediate(fn);
      return () => clearImmediate(timer);
    },
  });
  const http = { fetch: fetcher, clock, insecureHosts: [], idleMs: 1_000 };
  const registry = new Registry({
    ...http,
    random: () => 0,
    attempts: 3,
    credentials: async () => password,
  });
  const path = join(root, 'blob');
  const pull = () =>
    registry.blob(parseReference('r.test/team/sql:v1'), blob, { path, have: 0 }, never, () => {});
  return { asked, pull, http, clock };
};
const toStorage = ['r.test Bearer t1', 'storage.test -'];

describe.each([401, 403])('a storage service that a registry leads to and that answers %i', (status) => {
  it('gets no credential, and makes nobody ask for another one', async () => {
    const { asked, pull } = start(() => new Response(null, { status, headers: bait }));
    await expect(pull()).rejects.toMatchObject({
      code: 'REGISTRY_UNAVAILABLE',
      message: expect.stringContaining(
        `leads to https://storage.test, which answered ${status}. It is tried`,
      ),
    });
    // One password for one token, in all attempts.
    expect(asked).toEqual(['r.test -', `tokens.test ${basic}`, ...toStorage, ...toStorage, ...toStorage]);
    await expect(pull()).rejects.toMatchObject({ code: 'REGISTRY_UNAVAILABLE' });
    expect(asked.slice(8)).toEqual([...toStorage, ...toStorage, ...toStorage]);
  });

  it('is led to anew, where the next address may be valid', async () => {
    const { asked, pull } = start(
      (count) => new Response(count === 1 ? null : content, { status: count === 1 ? status : 200 }),
    );
    await pull();
    expect(asked.slice(2)).toEqual([...toStorage, ...toStorage]);
  });

  it('and that a web server leads to has no other value of its header asked for', async () => {
    const { asked, http, clock } = start(() => new Response(null, { status, headers: bait }));
    const values: boolean[] = [];
    const credential = {
      name: 'Authorization',
      value: async (isRefused: boolean) => {
        values.push(isRefused);
        return { header: 'Bearer t7', lifetimeMs: 60_000 };
      },
    };
    const source = new SourceHttp(new HttpClient(http), credential, clock);
    await expect(source.get(new URL('https://r.test/sql.tar'), {}, never)).rejects.toMatchObject({
      code: 'REGISTRY_UNAVAILABLE',
    });
    expect(values).toEqual([false]);
    expect(asked).toEqual(['r.test Bearer t7', 'storage.test -']);
  });
});
