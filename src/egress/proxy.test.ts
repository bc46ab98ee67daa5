import { createServer, type IncomingMessage } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { type AddressInfo, connect, createServer as createTcpServer } from 'node:net';
import { describe, expect, it, onTestFinished } from 'vitest';
import { codeOf } from '../errors/code-of.fixture.ts';
import { certificateFor, newAuthority } from '../runtime/server/testing/secure-servers.ts';
import { createGuardedFetch, type Lookup } from './guarded-fetch.ts';
import { EgressPolicy, type EgressRules } from './policy.ts';
import { proxiesOf } from './proxy.ts';

const manual = { redirect: 'manual' } as const;
const notFound: Lookup = () => Promise.reject(Object.assign(new Error('no'), { code: 'ENOTFOUND' }));
const found =
  (...addresses: string[]): Lookup =>
  async () =>
    addresses.map((address) => ({ address, family: address.includes(':') ? 6 : 4 }));

/** A proxy on loopback that answers by itself for every target; tunnels lead to a port of this machine, or nowhere. */
const startProxy = async (tunnelTo?: number) => {
  const asked: string[] = [];
  const server = createServer((request: IncomingMessage, response) => {
    asked.push(`${request.method} ${request.url} ${request.headers['proxy-authorization'] ?? ''}`.trim());
    response.end('by the proxy');
  });
  server.on('connect', (request, socket) => {
    asked.push(`CONNECT ${request.url}`);
    if (tunnelTo === undefined) socket.end('HTTP/1.1 502 Bad Gateway\r\n\r\n');
    else {
      socket.write('HTTP/1.1 200 OK\r\n\r\n');
      const behind = connect(tunnelTo, '127.0.0.1');
      for (const one of [socket, behind]) one.on('error', () => undefined);
      socket.pipe(behind).pipe(socket);
    }
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  const url = `http://127.0.0.1:${port}`;
  const fetchWith = (rules: Partial<EgressRules>, lookup: Lookup, noProxy = '') => {
    const policy = new EgressPolicy({ allow: [], deny: [], apiServer: [], ...rules });
    const environment = { HTTP_PROXY: url, HTTPS_PROXY: url, NO_PROXY: noProxy };
    return createGuardedFetch(policy, lookup, proxiesOf(environment));
  };
  return { asked, url, fetchWith };
};

describe('the proxy for a URL', () => {
  const proxyFor = proxiesOf({
    HTTPS_PROXY: 'http://secure:1',
    HTTP_PROXY: 'http://upper:2',
    http_proxy: 'http://plain:3',
    NO_PROXY: '.svc, *.local,direct.example,10.0.0.0/8 ported.example:5000,fd00::/8',
  });
  it.each([
    ['https://registry.example/v2/', 'http://secure:1'],
    ['http://registry.example/', 'http://plain:3'],
    ['https://operator.ns.svc/', undefined],
    ['https://a.local/', undefined],
    ['https://direct.example/', undefined],
    ['https://below.direct.example/', undefined],
    ['https://indirect.example/', 'http://secure:1'],
    ['https://10.1.2.3/', undefined],
    ['https://11.1.2.3/', 'http://secure:1'],
    ['https://ported.example:5000/', undefined],
    ['https://ported.example/', 'http://secure:1'],
    ['https://[fd00::1]/', undefined],
    ['http://localhost:8080/', undefined],
    ['http://127.0.0.1:8080/', undefined],
    ['http://[::1]:8080/', undefined],
  ])('%s is %s', (url, proxy) => {
    expect(proxyFor(new URL(url))).toBe(proxy);
  });

  it('is none for all of them where NO_PROXY has a star, and where there is none', () => {
    const url = new URL('https://registry.example/');
    expect(proxiesOf({ HTTPS_PROXY: 'http://p:1', no_proxy: '*' })(url)).toBeUndefined();
    expect(proxiesOf({})(url)).toBeUndefined();
  });
});

it.each(['proxy:3128', 'socks5://secret@proxy', 'nonsense'])('a proxy is not %j', async (value) => {
  expect(await codeOf(() => proxiesOf({ HTTPS_PROXY: value }))).toBe('CONFIG_INVALID');
  expect(() => proxiesOf({ http_proxy: value })).toThrow(/^(?!.*secret)/);
});

describe('a fetch that is guarded, through a proxy', () => {
  const allow = ['registry.example'];

  it('asks the proxy for the target by its name, and nobody else', async () => {
    const { asked, fetchWith } = await startProxy();
    const fetcher = fetchWith({ allow }, found('203.0.113.7'));
    const answer = await fetcher('http://registry.example/v2/?a=1', manual);
    expect(await answer.text()).toBe('by the proxy');
    await expect(fetcher('https://registry.example/v2/', manual)).rejects.toThrow();
    expect(asked).toEqual(['GET http://registry.example/v2/?a=1', 'CONNECT registry.example:443']);
  });

  it.each<[string, string, Partial<EgressRules>, Lookup]>([
    ['this machine', 'https://evil.example/', {}, found('127.0.0.1')],
    ['an address of the link', 'https://evil.example/', {}, found('169.254.169.254')],
    ['a private address', 'https://evil.example/', {}, found('10.1.2.3')],
    [
      'one such address beside a public one',
      'https://evil.example/',
      {},
      found('203.0.113.7', '169.254.169.254'),
    ],
    ['the address itself', 'https://169.254.169.254/', {}, notFound],
    ['the address itself in another form', 'https://[::ffff:169.254.169.254]/', {}, notFound],
    [
      'the API server',
      'https://registry.example/',
      { allow, apiServer: ['10.43.0.1:443'] },
      found('10.43.0.1'),
    ],
    [
      'what is denied',
      'https://registry.example/',
      { allow, deny: ['203.0.113.0/24'] },
      found('203.0.113.7'),
    ],
    ['a name that is known to the proxy alone', 'https://hidden.example/', {}, notFound],
    ['a name without encryption', 'http://public.example/', {}, found('203.0.113.7')],
  ])('reaches not %s', async (_, url, rules, lookup) => {
    const { asked, fetchWith } = await startProxy();
    expect(await codeOf(() => fetchWith(rules, lookup)(url, manual))).toBe('EGRESS_DENIED');
    expect(asked).toEqual([]);
  });

  it('believes nobody behind a tunnel that the certificate does not name', async () => {
    const own = await certificateFor(await newAuthority('nobody'), 'target');
    const target = createTlsServer({ key: own.key, cert: own.certificate }, (_, response) =>
      response.end('target'),
    );
    await new Promise<void>((resolve) => target.listen(0, '127.0.0.1', resolve));
    onTestFinished(() => void target.close());
    const { port } = target.address() as AddressInfo;
    const { asked, fetchWith } = await startProxy(port);
    await expect(
      fetchWith({ allow }, found('203.0.113.7'))('https://registry.example/', manual),
    ).rejects.toMatchObject({ code: expect.stringMatching(/^(UNABLE_TO_|SELF_SIGNED_|ERR_TLS_CERT)/) });
    expect(asked).toEqual(['CONNECT registry.example:443']);
  });

  it('ends with its signal while the proxy makes no tunnel, and leaves no connection to it', async () => {
    const asked = Promise.withResolvers<void>();
    const left = Promise.withResolvers<void>();
    const silent = createTcpServer((socket) => {
      socket.once('data', () => asked.resolve());
      socket.on('close', () => left.resolve()).on('error', () => undefined);
    });
    await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
    onTestFinished(() => void silent.close());
    const HTTPS_PROXY = `http://127.0.0.1:${(silent.address() as AddressInfo).port}`;
    const policy = new EgressPolicy({ allow, deny: [], apiServer: [] });
    const fetcher = createGuardedFetch(policy, found('203.0.113.7'), proxiesOf({ HTTPS_PROXY }));
    const stop = new AbortController();
    const answer = fetcher('https://registry.example/', { ...manual, signal: stop.signal });
    await asked.promise;
    stop.abort(new Error('it takes too long'));
    await expect(answer).rejects.toThrow();
    await left.promise;
  });

  it('leaves a name that is listed to the proxy where nobody here knows it', async () => {
    const { asked, fetchWith } = await startProxy();
    await fetchWith({ allow }, notFound)('http://registry.example/', manual);
    expect(asked).toEqual(['GET http://registry.example/']);
  });

  it('connects as without a proxy to what needs none', async () => {
    const { asked, fetchWith } = await startProxy();
    const fetcher = fetchWith({}, found('169.254.169.254'), 'direct.example');
    expect(await codeOf(() => fetcher('https://direct.example/', manual))).toBe('EGRESS_DENIED');
    expect(asked).toEqual([]);
  });

  it('throws what a lookup throws that may be over soon', async () => {
    const { fetchWith } = await startProxy();
    const later: Lookup = () => Promise.reject(Object.assign(new Error('later'), { code: 'EAI_AGAIN' }));
    await expect(fetchWith({}, later)('https://public.example/', manual)).rejects.toThrow('later');
  });
});
