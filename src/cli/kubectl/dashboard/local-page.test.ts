import { once } from 'node:events';
import { createServer, type IncomingMessage, request, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { type LocalPage, startLocalPage } from './local-page.ts';

let operator: Server;
let page: LocalPage;
let seen: IncomingMessage[];
let losses: number;
let leads: boolean;
let hangs: boolean;

beforeEach(async () => {
  [seen, losses, leads, hangs] = [[], 0, true, false];
  operator = createServer((asked, response) => {
    seen.push(asked);
    if (hangs) return;
    const headers = leads ? {} : { 'x-adaptlet-error': 'NOT_LEADER' };
    response
      .writeHead(leads ? 200 : 503, { ...headers, 'content-security-policy': "default-src 'none'" })
      .end('{}');
  }).listen(0, '127.0.0.1');
  await once(operator, 'listening');
  page = await startLocalPage({
    port: 0,
    forward: async () => (operator.address() as AddressInfo).port,
    token: async () => 'secret-token',
    lost: () => void (losses += 1),
  });
});
afterEach(() => {
  page.close();
  operator.closeAllConnections();
  operator.close();
});

const statusOf = async (url: string, init: RequestInit = {}) => (await fetch(url, init)).status;

it('adds the token to questions about data alone, and gives the headers of the page on', async () => {
  const first = await fetch(page.url);
  expect([first.status, first.headers.get('content-security-policy')]).toEqual([200, "default-src 'none'"]);
  expect(await statusOf(`${page.url}api/fleet?by=zone`)).toBe(200);
  expect(seen.map(({ url, headers }) => [url, headers.authorization])).toEqual([
    ['/', undefined],
    ['/api/fleet?by=zone', 'Bearer secret-token'],
  ]);
});

it('passes nothing of the browser on but the tag of what it has', async () => {
  const headers = {
    'if-none-match': '"t"',
    cookie: 'a=b',
    authorization: 'Bearer other',
    'x-forwarded-for': '1',
  };
  await fetch(`${page.url}api/fleet`, { headers });
  expect(seen[0]?.headers).toMatchObject({ 'if-none-match': '"t"', authorization: 'Bearer secret-token' });
  expect(seen[0]?.headers).not.toHaveProperty('cookie');
  expect(seen[0]?.headers).not.toHaveProperty('x-forwarded-for');
});

it('is nothing for those who do not know the secret', async () => {
  const { origin } = new URL(page.url);
  for (const path of ['/', '/api/fleet', `/${'a'.repeat(32)}/api/fleet`, '/é/'])
    expect(await statusOf(origin + path)).toBe(404);
  expect(seen).toEqual([]);
});

it('answers to its own name alone, so that no foreign page gets here by a name of its own', async () => {
  const { hostname, port, pathname } = new URL(page.url);
  const asked = request({ hostname, port, path: pathname, headers: { host: `evil.example:${port}` } }).end();
  const [answer] = (await once(asked, 'response')) as [IncomingMessage];
  answer.resume();
  expect([answer.statusCode, seen.length]).toEqual([404, 0]);
});

it('only reads', async () => {
  expect(await statusOf(`${page.url}api/fleet`, { method: 'POST' })).toBe(404);
});

it('looks for the leader anew where this one does not lead any more, and where nothing answers', async () => {
  leads = false;
  expect(await statusOf(`${page.url}api/fleet`)).toBe(503);
  expect(losses).toBe(1);
  operator.closeAllConnections();
  operator.close();
  const gone = await fetch(`${page.url}api/fleet`);
  expect([gone.status, losses]).toEqual([502, 2]);
  expect(await gone.json()).toMatchObject({ code: 'REPLICA_UNAVAILABLE' });
});

it('gives up with the browser, and keeps its way to the operator', async () => {
  hangs = true;
  const left = new AbortController();
  const asked = fetch(`${page.url}api/fleet`, { signal: left.signal }).catch(() => 'given up');
  await expect.poll(() => seen.length).toBe(1);
  const [atOperator] = seen;
  left.abort();
  expect(await asked).toBe('given up');
  await expect.poll(() => atOperator?.socket.destroyed, { timeout: 10_000 }).toBe(true);
  expect(losses).toBe(0);
});
