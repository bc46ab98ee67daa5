import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { AdaptletError } from '../errors/adaptlet-error.ts';
import { silentLog } from '../telemetry/log.fixture.ts';
import { type Access, dashboardHandler } from './handler.ts';
import type { ViewKind, Views } from './views.ts';

const asked: unknown[] = [];
const views = {
  about: () => ({ version: '1', shownBy: 'op-0', kind: 'Operator', since: 0 }),
  fleet: (...args: unknown[]) => asked.push(args),
  runtimes: (...args: unknown[]) => asked.push(args),
  rollouts: () => ({ total: 1, items: [{ key: 'a/<img src=x onerror=alert(1)>' }] }),
  adapters: (...args: unknown[]) => asked.push(args),
  waiting: (...args: unknown[]) => asked.push(args),
  history: (key: string) => (key === 'a/x' ? { samples: [] } : undefined),
  timeline: () => undefined,
} as unknown as Views;

let access: Access;
let elsewhere: boolean;
let server: ReturnType<typeof createServer>;
let base: string;

beforeEach(async () => {
  asked.length = 0;
  elsewhere = false;
  access = async () => new Set<ViewKind>(['adapterrollouts']);
  const handler = dashboardHandler({
    views,
    access: (...args) => access(...args),
    assertHere: () => {
      if (elsewhere) throw new AdaptletError('NOT_LEADER', 'op-1 leads');
    },
    logger: silentLog,
  });
  server = createServer((request, response) => void handler(request, response)).listen(0, '127.0.0.1');
  await once(server, 'listening');
  base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterEach(() => void server.close());

const get = async (path: string, init: RequestInit = {}) => {
  const response = await fetch(`${base}${path}`, init);
  const text = await response.text();
  return { status: response.status, headers: response.headers, text };
};

it('gives every file of the page to everybody, with a policy that allows nothing from elsewhere or inline', async () => {
  access = async () => {
    throw new AdaptletError('VIEWER_UNKNOWN', 'no token');
  };
  const { text, headers } = await get('/');
  const policy = headers.get('content-security-policy') ?? '';
  expect(policy).toContain("default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'");
  expect(policy).not.toContain('unsafe');
  expect(headers.get('x-content-type-options')).toBe('nosniff');
  const named = [...text.matchAll(/(?:src|href)="([^"#]+)"/g)].map(([, file = '']) => file);
  const modules = new Set(named);
  for (const file of modules) {
    const { status, text: source } = await get(`/${file}`);
    expect([file, status]).toEqual([file, 200]);
    for (const [, imported = ''] of source.matchAll(/from '\.\/([^']+)'/g)) modules.add(imported);
  }
  expect(modules.size).toBeGreaterThan(7);
});

it.each([
  ['without a token', 'VIEWER_UNKNOWN', 401],
  ['with one that may see nothing', 'VIEWER_FORBIDDEN', 403],
] as const)('shows nothing %s', async (_, code, status) => {
  access = async () => {
    throw new AdaptletError(code, 'no');
  };
  for (const path of ['about', 'fleet', 'runtimes', 'rollouts', 'adapters', 'waiting', 'history?name=a/x'])
    expect((await get(`/api/${path}`)).status).toBe(status);
  expect(asked).toEqual([]);
});

it('shows the kinds alone that a person may list', async () => {
  expect((await get('/api/rollouts')).status).toBe(200);
  const { status, text } = await get('/api/fleet');
  expect([status, JSON.parse(text)]).toMatchObject([403, { code: 'VIEWER_FORBIDDEN' }]);
});

it('asks for the rights in the namespace that is looked at, and shows no object of another', async () => {
  const scopes: unknown[] = [];
  access = async (_, scope) => {
    scopes.push(scope);
    return new Set<ViewKind>(['adapterrollouts']);
  };
  expect((await get('/api/history?namespace=a&name=a/x')).status).toBe(200);
  expect((await get('/api/history?namespace=b&name=a/x')).status).toBe(403);
  expect((await get('/api/history?name=a/gone')).status).toBe(404);
  expect(scopes).toEqual(['a', 'b', undefined]);
});

it('takes no name of a namespace that Kubernetes would not have', async () => {
  expect((await get('/api/rollouts?namespace=..%2Fx')).status).toBe(404);
  expect((await get('/api/rollouts?namespace=a%2Cb')).status).toBe(404);
});

it('says that another replica leads', async () => {
  elsewhere = true;
  const { status, headers, text } = await get('/api/rollouts');
  expect([status, headers.get('x-adaptlet-error')]).toEqual([503, 'NOT_LEADER']);
  expect(JSON.parse(text).message).toBe('op-1 leads');
  expect((await get('/')).status).toBe(200);
});

it('sends what did not change only once', async () => {
  const first = await get('/api/rollouts');
  const tag = first.headers.get('etag') ?? '';
  const again = await get('/api/rollouts', { headers: { 'if-none-match': tag } });
  expect([again.status, again.text]).toEqual([304, '']);
});

it('names of others are JSON and never a page', async () => {
  const { headers, text } = await get('/api/rollouts');
  expect(headers.get('content-type')).toBe('application/json');
  expect(JSON.parse(text).items[0].key).toBe('a/<img src=x onerror=alert(1)>');
});

it.each(['POST', 'PUT', 'DELETE', 'PATCH'])('answers no %s', async (method) => {
  expect((await get('/api/rollouts', { method })).status).toBe(404);
});

it.each(['/../package.json', '/tsconfig.json', '/api/nothing', '/api/__proto__', '//x'])(
  'has nothing at %s',
  async (path) => {
    expect((await get(path)).status).toBe(404);
  },
);
