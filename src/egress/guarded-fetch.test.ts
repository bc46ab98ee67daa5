import type { RequestListener } from 'node:http';
import { describe, expect, it } from 'vitest';
import { codeOf } from '../errors/code-of.fixture.ts';
import { createGuardedFetch, type Lookup } from './guarded-fetch.ts';
import { serve } from './loopback-server.fixture.ts';
import { EgressPolicy } from './policy.ts';

const hello: RequestListener = (_, response) => void response.setHeader('x-a', '1').end('hello');

const guarded = (allow: readonly string[], lookup?: Lookup) =>
  createGuardedFetch(new EgressPolicy({ allow, deny: [], apiServer: [] }), lookup);
const manual = { redirect: 'manual' } as const;
const found = (...addresses: string[]) =>
  addresses.map((address) => ({ address, family: address.includes(':') ? 6 : 4 }));

describe('a fetch that is guarded', () => {
  it('asks what is allowed, as fetch does', async () => {
    const { asked, port } = await serve((request, response) => {
      let body = '';
      request
        .on('data', (chunk) => (body += String(chunk)))
        .on('end', () => {
          response.writeHead(201, { 'content-type': 'text/plain', 'x-b': '2' }).end(`got ${body}`);
        });
    });
    const fetcher = guarded(['127.0.0.0/8']);
    const body = new URLSearchParams({ query: 'a b&c' });
    const response = await fetcher(`http://127.0.0.1:${port}/p?q=1`, {
      ...manual,
      method: 'POST',
      headers: { accept: 'text/plain' },
      body,
    });
    expect([response.status, response.headers.get('x-b')]).toEqual([201, '2']);
    expect(await response.text()).toBe('got query=a+b%26c');
    expect(asked[0]).toMatchObject({
      method: 'POST',
      url: '/p?q=1',
      headers: { accept: 'text/plain', connection: 'close' },
    });
    expect(asked[0]?.headers['content-type']).toMatch(/^application\/x-www-form-urlencoded/);
  });

  it.each([
    'http://127.0.0.1:PORT/',
    'http://2130706433:PORT/',
    'http://0x7f.1:PORT/',
    'http://0177.0.0.1:PORT/',
    'http://127.1:PORT/',
    'http://[::ffff:127.0.0.1]:PORT/',
    'http://0.0.0.0:PORT/',
  ])('does not connect to %s', async (url) => {
    const { asked, port } = await serve(hello);
    expect(await codeOf(() => guarded([])(url.replace('PORT', String(port)), manual))).toBe('EGRESS_DENIED');
    expect(asked).toEqual([]);
  });

  it('connects to what it looked up, also when the name leads elsewhere the next time', async () => {
    const { asked, port } = await serve(hello);
    const answers = [found('127.0.0.1'), found('169.254.169.254')];
    let lookups = 0;
    const fetcher = guarded(['127.0.0.0/8'], async () => answers[lookups++] ?? []);
    expect(await (await fetcher(`http://rebinding.example:${port}/`, manual)).text()).toBe('hello');
    expect([lookups, asked.length, asked[0]?.headers.host]).toEqual([1, 1, `rebinding.example:${port}`]);
    expect(await codeOf(() => fetcher(`http://rebinding.example:${port}/`, manual))).toBe('EGRESS_DENIED');
  });

  it('does not connect where a name leads that was fine when somebody looked before', async () => {
    const { asked, port } = await serve(hello);
    const lookup: Lookup = async () => found('127.0.0.1');
    expect(
      await codeOf(() => guarded(['evil.example'], lookup)(`http://evil.example:${port}/`, manual)),
    ).toBe('EGRESS_DENIED');
    expect(asked).toEqual([]);
  });

  it('passes over addresses of a name that are denied', async () => {
    const { port } = await serve(hello);
    const lookup: Lookup = async () => found('169.254.169.254', '10.0.0.1', '127.0.0.1');
    const response = await guarded(['127.0.0.0/8'], lookup)(`http://many.example:${port}/`, manual);
    expect(await response.text()).toBe('hello');
  });

  it('follows nothing', async () => {
    const { asked, port } = await serve((_, response) => {
      response.writeHead(302, { location: 'http://169.254.169.254/' }).end();
    });
    const fetcher = guarded(['127.0.0.0/8']);
    const response = await fetcher(`http://127.0.0.1:${port}/`, manual);
    await response.body?.cancel();
    expect([response.status, asked.length]).toEqual([302, 1]);
    await expect(fetcher(`http://127.0.0.1:${port}/`)).rejects.toThrow('redirects are up to the caller');
  });

  it('ends with its signal, before the answer and in the middle of it', async () => {
    const { port } = await serve((request, response) => {
      if (request.url === '/body') response.write('a');
    });
    const fetcher = guarded(['127.0.0.0/8']);
    for (const path of ['silent', 'body']) {
      const leave = new AbortController();
      const asked = (async () => {
        const { signal } = leave;
        return await (await fetcher(`http://127.0.0.1:${port}/${path}`, { ...manual, signal })).text();
      })();
      setTimeout(() => leave.abort(), 20);
      await expect(asked).rejects.toThrow();
    }
  });

  it('throws what the connection throws, and what the lookup throws', async () => {
    const fetcher = guarded(['127.0.0.0/8'], () =>
      Promise.reject(Object.assign(new Error('no'), { code: 'ENOTFOUND' })),
    );
    await expect(fetcher('http://127.0.0.1:1/', manual)).rejects.toMatchObject({ code: 'ECONNREFUSED' });
    await expect(fetcher('http://nobody.example/', manual)).rejects.toMatchObject({ code: 'ENOTFOUND' });
  });

  it('reads answers without a body', async () => {
    const { port } = await serve((_, response) => void response.writeHead(204).end());
    const response = await guarded(['127.0.0.0/8'])(`http://127.0.0.1:${port}/`, manual);
    expect([response.status, await response.text()]).toEqual([204, '']);
  });
});
