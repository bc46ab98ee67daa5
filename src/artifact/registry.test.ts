import { readFile, writeFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { folderOfTest } from '../../test/support/temporary-folder.ts';
import { AdaptletError } from '../errors/adaptlet-error.ts';
import { codeOf } from '../errors/code-of.fixture.ts';
import { systemClock } from '../time/clock.ts';
import { digestOf } from './digest.ts';
import { parseReference } from './reference.ts';
import { Registry, type RegistryOptions } from './registry.ts';
import type { Demand, Login } from './registry-http.ts';
import { registryOptions } from './registry-options.fixture.ts';

type Handler = (request: IncomingMessage, response: ServerResponse) => void;
const never = new AbortController().signal;
const content = Buffer.from('0123456789'.repeat(100));
const blob = { mediaType: 'x', digest: digestOf(content), size: content.length };

let root: string;
const stops: (() => Promise<void>)[] = [];
beforeEach(() => {
  root = folderOfTest();
});
afterEach(async () => {
  for (const stop of stops.splice(0)) await stop();
});

const serve = async (handler: Handler): Promise<string> => {
  const server = createServer(handler);
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  stops.push(async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });
  return `127.0.0.1:${(server.address() as AddressInfo).port}`;
};

/** Waits pass at once, and are written down; the watch over a silent connection stays real. */
const client = (options: Partial<RegistryOptions> = {}) => {
  const waits: number[] = [];
  const clock = {
    ...systemClock,
    after: (ms: number, fn: () => void) => {
      if (ms === 300) return systemClock.after(ms, fn);
      waits.push(ms);
      return systemClock.after(0, fn);
    },
  };
  const registry = new Registry({
    fetch,
    ...registryOptions,
    clock,
    attempts: 4,
    idleMs: 300,
    ...options,
  });
  return { registry, waits };
};

const manifestOf = (registry: Registry, host: string) =>
  registry.manifest(parseReference(`${host}/a:v1`), 'v1', never);
const fetchBlob = async (registry: Registry, host: string, have = 0): Promise<Buffer> => {
  const path = join(root, 'blob');
  if (have > 0) await writeFile(path, content.subarray(0, have));
  await registry.blob(parseReference(`${host}/a:v1`), blob, { path, have }, never, () => {});
  return await readFile(path);
};

describe('an unwilling registry', () => {
  it('is asked again, more and more seldom, and as late as it says', async () => {
    const answers = [500, 503, 429];
    const host = await serve((_, response) => {
      const status = answers.shift() ?? 200;
      response.writeHead(status, status === 429 ? { 'retry-after': '7' } : {}).end('{}');
    });
    const { registry, waits } = client();
    expect(String(await manifestOf(registry, host))).toBe('{}');
    expect(waits).toEqual([250, 500, 7000]);
  });

  it('is given up after as many attempts as configured', async () => {
    let asked = 0;
    const host = await serve((_, response) => {
      asked++;
      response.writeHead(502).end();
    });
    expect(await codeOf(() => manifestOf(client().registry, host))).toBe('REGISTRY_UNAVAILABLE');
    expect(asked).toBe(4);
  });

  it('that says nothing counts as gone', async () => {
    const host = await serve(() => {});
    expect(await codeOf(() => manifestOf(client({ attempts: 1 }).registry, host))).toBe(
      'REGISTRY_UNAVAILABLE',
    );
  });

  it('that stops in the middle of a blob counts as gone', async () => {
    const host = await serve((_, response) => {
      response.writeHead(200).write(content.subarray(0, 10));
    });
    expect(await codeOf(() => fetchBlob(client({ attempts: 1 }).registry, host))).toBe(
      'REGISTRY_UNAVAILABLE',
    );
  });

  it('is left at once when the caller leaves', async () => {
    const host = await serve(() => {});
    const leave = new AbortController();
    const asked = client().registry.manifest(parseReference(`${host}/a:v1`), 'v1', leave.signal);
    leave.abort(new Error('left'));
    await expect(asked).rejects.toThrow('left');
  });

  it('cannot send more than it announced', async () => {
    const host = await serve((_, response) => {
      response.end(Buffer.concat([content, content]));
    });
    expect(await codeOf(() => fetchBlob(client().registry, host))).toBe('ARTIFACT_CORRUPT');
    const endless = await serve((_, response) => {
      response.end(Buffer.alloc(5 * 1024 * 1024));
    });
    expect(await codeOf(() => manifestOf(client().registry, endless))).toBe('ARTIFACT_TOO_LARGE');
  });
});

describe('going on with a blob', () => {
  it.each<[string, Handler]>([
    [
      'asks for the rest',
      (request, response) => {
        const from = Number(/bytes=(\d+)-/.exec(request.headers.range ?? '')?.[1]);
        const range = `bytes ${from}-${content.length - 1}/${content.length}`;
        response.writeHead(206, { 'content-range': range }).end(content.subarray(from));
      },
    ],
    ['begins again where ranges are ignored', (_, response) => response.end(content)],
    [
      'begins again where ranges are refused',
      (request, response) => {
        if (request.headers.range === undefined) response.end(content);
        else response.writeHead(416).end();
      },
    ],
    [
      'begins again where another range comes',
      (request, response) => {
        if (request.headers.range === undefined) response.end(content);
        else response.writeHead(206, { 'content-range': 'bytes 0-9/1000' }).end(content.subarray(0, 10));
      },
    ],
  ])('%s', async (_, handler) => {
    expect(await fetchBlob(client().registry, await serve(handler), 400)).toEqual(content);
  });

  it('begins again when the partial file is longer than the blob', async () => {
    const host = await serve((_, response) => response.end(content));
    const path = join(root, 'blob');
    await writeFile(path, Buffer.alloc(2000));
    const target = { path, have: 2000 };
    await client().registry.blob(parseReference(`${host}/a:v1`), blob, target, never, () => {});
    expect(await readFile(path)).toEqual(content);
  });
});

describe('a source that drips', () => {
  const reports = async (bytes: Buffer, chunk: number): Promise<readonly number[]> => {
    let sent = 0;
    const drip = new ReadableStream<Uint8Array>({
      pull(controller) {
        if (sent === bytes.length) controller.close();
        else controller.enqueue(bytes.subarray(sent, (sent = Math.min(bytes.length, sent + chunk))));
      },
    });
    const { registry } = client({ fetch: () => Promise.resolve(new Response(drip)) });
    const reported: number[] = [];
    const target = { path: join(root, 'blob'), have: 0 };
    const dripping = { mediaType: 'x', digest: digestOf(bytes), size: bytes.length };
    await registry.blob(parseReference('r.test/a:v1'), dripping, target, never, (n) => reported.push(n));
    return reported;
  };

  it('gives a sign of life with each 64 KiB, and at the end', async () => {
    expect(await reports(content, 10)).toEqual([content.length]);
    const bytes = Buffer.alloc(200 * 1024, 'x');
    expect(await reports(bytes, 1024)).toEqual([64, 128, 192, 200].map((kib) => kib * 1024));
  });
});

const credentials = () => Promise.resolve({ username: 'u', password: 'p' });
const basic = `Basic ${Buffer.from('u:p').toString('base64')}`;

/** A registry that wants `u:p`, and leads to `location`. */
const redirecting =
  (location: string, seen: (string | null)[] = []): typeof fetch =>
  async (input, init) => {
    const { url, headers } = new Request(input, { ...init, signal: null });
    const authorization = headers.get('authorization');
    seen.push(authorization);
    if (new URL(url).host !== 'r.test') return new Response(content);
    if (authorization !== null) return new Response(null, { status: 307, headers: { location } });
    return new Response(null, { status: 401, headers: { 'www-authenticate': 'Basic realm="x"' } });
  };

describe('a registry that redirects', () => {
  it.each([
    ['to another registry', 'https://victim.test/v2/team/sql/blobs/x'],
    ['to another registry, written otherwise', 'https://victim.test/%762/team/sql/blobs/x'],
    ['to another registry on this machine', 'http://127.0.0.1:5000/v2/team/sql/blobs/x'],
    ['to a server on this machine', 'http://127.0.0.1:9000/files/x'],
    ['to a listed host', 'http://plain.test/files/x'],
    ['to itself without encryption', 'http://r.test/files/x'],
  ])('is refused where it leads %s, which is not asked', async (_, location) => {
    const seen: (string | null)[] = [];
    const options = { credentials, fetch: redirecting(location, seen), insecureHosts: ['plain.test'] };
    expect(await codeOf(() => fetchBlob(client(options).registry, 'r.test'))).toBe('REGISTRY_REDIRECTS');
    expect(seen).toHaveLength(2);
  });
});

describe('credentials', () => {
  it('stay with the registry when it redirects to another host', async () => {
    const seen: (string | null)[] = [];
    const { registry } = client({ credentials, fetch: redirecting('https://storage.test/elsewhere', seen) });
    expect(await fetchBlob(registry, 'r.test')).toEqual(content);
    expect(seen).toEqual([null, basic, null]);
  });

  it('go along with a redirect within the registry, and are remembered', async () => {
    const seen: (string | undefined)[] = [];
    const host = await serve((request, response) => {
      seen.push(request.headers.authorization);
      if (request.headers.authorization === undefined) {
        response.writeHead(401, { 'www-authenticate': 'Basic realm="x"' }).end();
      } else if (request.url === '/moved') response.end('{}');
      else response.writeHead(302, { location: '/moved' }).end();
    });
    const { registry } = client({ credentials });
    await manifestOf(registry, host);
    await manifestOf(registry, host);
    expect(seen).toEqual([undefined, basic, basic, basic, basic]);
  });

  it('are not sent to a token service without encryption', async () => {
    const host = await serve((_, response) => {
      response.writeHead(401, { 'www-authenticate': 'Bearer realm="http://tokens.example/token"' }).end();
    });
    expect(await codeOf(() => manifestOf(client({ credentials }).registry, host))).toBe('REGISTRY_INSECURE');
  });

  it('that are renewed by a token service when a token has run out', async () => {
    let issued = 0;
    const host: string = await serve((request, response) => {
      if (request.url?.startsWith('/token') === true)
        response.end(JSON.stringify({ access_token: `t${++issued}` }));
      else if (request.headers.authorization === `Bearer t${issued}` && issued !== 1) response.end('{}');
      else response.writeHead(401, { 'www-authenticate': `Bearer realm="http://${host}/token"` }).end();
    });
    const { registry } = client();
    expect(await codeOf(() => manifestOf(registry, host))).toBe('REGISTRY_DENIED');
    expect(await codeOf(() => manifestOf(registry, host))).toBe('none');
  });
});

it('does not follow redirects for ever, or to something that is not HTTPS', async () => {
  const host: string = await serve((request, response) => {
    const location = request.url?.includes('ftp') === true ? 'ftp://x.example/' : request.url;
    response.writeHead(302, { location }).end();
  });
  const { registry } = client({ attempts: 1 });
  expect(await codeOf(() => manifestOf(registry, host))).toBe('REGISTRY_UNAVAILABLE');
  const ftp = parseReference(`${host}/ftp:v1`);
  expect(await codeOf(() => registry.manifest(ftp, 'v1', never))).toBe('REGISTRY_INSECURE');
});

it('checks a manifest against the digest that was asked for', async () => {
  const host = await serve((_, response) => response.end('{}'));
  const { registry } = client();
  const good = digestOf(Buffer.from('{}'));
  expect(String(await registry.manifest(parseReference(`${host}/a@${good}`), good, never))).toBe('{}');
  const other = digestOf(content);
  expect(await codeOf(() => registry.manifest(parseReference(`${host}/a@${other}`), other, never))).toBe(
    'DIGEST_MISMATCH',
  );
});

describe('a registry that several ask as themselves', () => {
  const loginOf = (name: string) => {
    const demands: Pick<Demand, 'isRefused'>[] = [];
    const login: Login = {
      name,
      authorize: async ({ isRefused }) => {
        demands.push({ isRefused });
        return { header: `Bearer ${name}-${demands.length}`, lifetimeMs: 60_000 };
      },
    };
    return { login, demands };
  };

  it('gets of each its own authorization, asked for once, and again when it is refused', async () => {
    const seen: string[] = [];
    const revoked = new Set<string>();
    const host = await serve(({ headers: { authorization = '' } }, response) => {
      seen.push(authorization);
      const isGood = authorization !== '' && !revoked.has(authorization);
      response.writeHead(isGood ? 200 : 401, { 'www-authenticate': 'Bearer realm="https://r"' }).end('{}');
    });
    const { registry } = client({ credentials: () => Promise.resolve({ username: 'u', password: 'p' }) });
    const [a, b] = [loginOf('a'), loginOf('b')];
    const [asA, asB] = [registry.as(a.login), registry.as(b.login)];
    for (const one of [asA, asA, asB]) await manifestOf(one, host);
    expect(seen).toEqual(['', 'Bearer a-1', 'Bearer a-1', '', 'Bearer b-1']);
    revoked.add('Bearer a-1');
    await manifestOf(asA, host);
    await manifestOf(asB, host);
    expect(seen.slice(5)).toEqual(['Bearer a-1', 'Bearer a-2', 'Bearer b-1']);
    expect([a.demands, b.demands]).toEqual([
      [{ isRefused: false }, { isRefused: true }],
      [{ isRefused: false }],
    ]);
  });

  it.each([401, 403])(
    'that refuses with %i what one was authorized with is explained by that one',
    async (status) => {
      const host = await serve(({ headers: { authorization } }, response) => {
        const code = authorization === undefined ? 401 : status;
        response.writeHead(code, { 'www-authenticate': 'Bearer realm="https://r"' }).end('{}');
      });
      const explained: Login['explained'] = ({ what }) =>
        new AdaptletError('PULL_CREDENTIAL_AWAITED', `of a: ${what}`);
      const { registry } = client();
      const asked = manifestOf(registry.as({ ...loginOf('a').login, explained }), host);
      await expect(asked).rejects.toThrow(
        /of a: 127\.0\.0\.1:\d+\/a: it (refuses the credentials|forbids access)/,
      );
      await expect(asked).rejects.toMatchObject({ code: 'PULL_CREDENTIAL_AWAITED' });
    },
  );

  it('is not believed to take what it answered 403 to', async () => {
    const host = await serve(({ headers: { authorization } }, response) => {
      const status = authorization === undefined ? 401 : 403;
      response.writeHead(status, { 'www-authenticate': 'Bearer realm="https://r"' }).end();
    });
    const { login, demands } = loginOf('a');
    const registry = client().registry.as(login);
    const known = { isRefused: false, freshMs: 10_000 };
    const ask = () => registry.authorization(parseReference(`${host}/a:v1`), 'v1', known, never);
    expect([await codeOf(ask), await codeOf(ask)]).toEqual(['REGISTRY_DENIED', 'REGISTRY_DENIED']);
    expect(demands).toHaveLength(2);
  });

  it('is not asked with what is remembered of itself', async () => {
    const seen: string[] = [];
    const host = await serve(({ headers: { authorization = '' } }, response) => {
      seen.push(authorization);
      response.writeHead(authorization === '' ? 401 : 200, { 'www-authenticate': 'Basic' }).end('{}');
    });
    const { registry } = client({ credentials: () => Promise.resolve({ username: 'u', password: 'p' }) });
    await manifestOf(registry, host);
    await manifestOf(registry.as(loginOf('a').login), host);
    expect(seen).toEqual(['', 'Basic dTpw', '', 'Bearer a-1']);
  });
});
