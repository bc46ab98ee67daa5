import { randomBytes } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { folderOfTest } from '../../test/support/temporary-folder.ts';
import { codeOf } from '../errors/code-of.fixture.ts';
import { systemClock } from '../time/clock.ts';
import { digestOf } from './digest.ts';
import { packFiles } from './pack.ts';
import { parseReference } from './reference.ts';
import { registryOptions } from './registry-options.fixture.ts';
import { RegistryPush } from './registry-push.ts';

const { signal } = new AbortController();
const idleMs = 60_000;
const piece = 8 << 20;
const content = randomBytes(2.5 * piece);
const digest = digestOf(content);

let root: string;
const stops: (() => Promise<unknown>)[] = [];
beforeEach(async () => {
  root = folderOfTest();
  await writeFile(join(root, 'weights'), content);
});
afterEach(async () => {
  for (const stop of stops.splice(0)) await stop();
});

const listen = async (answer: (request: IncomingMessage, response: ServerResponse) => void) => {
  const server = createServer(answer);
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  stops.push(async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });
  return `127.0.0.1:${(server.address() as AddressInfo).port}`;
};

type Rules = {
  /** Answers in place of the registry, by method and how often it was asked by it; undefined: as it would. */
  readonly instead?: (method: string, count: number) => number | undefined;
  /** Bytes of bodies after which the connection breaks, each once. */
  readonly cutsAt?: number[];
  /** Headers with which an upload begins. */
  readonly begin?: Readonly<Record<string, string>>;
  /** Where uploads lead. */
  readonly elsewhere?: string;
};

/** Keeps uploads as the distribution specification 1.1 says: what arrived of a piece that broke off counts. */
class Uploads {
  readonly seen: string[] = [];
  readonly blobs = new Map<string, Buffer>();
  readonly authorized: string[] = [];
  received = 0;
  #parts: Buffer[] = [];
  readonly #counts = new Map<string, number>();
  readonly #rules: Rules;

  constructor(rules: Rules) {
    this.#rules = rules;
  }

  get have(): number {
    return this.#parts.reduce((sum, { length }) => sum + length, 0);
  }

  readonly answer = (request: IncomingMessage, response: ServerResponse): void => {
    const { method = '', headers } = request;
    const url = new URL(request.url ?? '', 'http://registry');
    const count = (this.#counts.get(method) ?? 0) + 1;
    this.#counts.set(method, count);
    this.seen.push([method, headers['content-range']].filter((part) => part !== undefined).join(' '));
    if (headers.authorization !== undefined) this.authorized.push(method);
    const takes = method === 'PATCH' || method === 'PUT';
    const status = this.#rules.instead?.(method, count);
    const from = Number(/^(\d+)-/.exec(headers['content-range'] ?? '')?.[1] ?? 0);
    const parts = this.#parts;
    const isPlaced = method !== 'PATCH' || from === this.have;
    request.on('data', (chunk: Buffer) => {
      this.received += chunk.length;
      if (takes && isPlaced && status === undefined && !url.pathname.includes('manifests')) parts.push(chunk);
      const [next = Number.POSITIVE_INFINITY] = this.#rules.cutsAt ?? [];
      if (this.received <= next) return;
      this.#rules.cutsAt?.shift();
      request.socket.resetAndDestroy();
    });
    request.on('error', () => undefined);
    request.on('end', () => {
      if (status !== undefined) response.writeHead(status).end();
      else this.#end(method, url, isPlaced, response);
    });
  };

  #end(method: string, url: URL, isPlaced: boolean, response: ServerResponse): void {
    const place = {
      location: `${this.#rules.elsewhere ?? ''}/v2/team/sql/blobs/uploads/1?state=${this.have}`,
    };
    const range = { range: `0-${Math.max(0, this.have - 1)}` };
    if (url.pathname.includes('/manifests/')) return void response.writeHead(201).end();
    if (method === 'HEAD') return void response.writeHead(404).end();
    if (method === 'POST') {
      this.#parts = [];
      return void response.writeHead(202, { ...place, ...this.#rules.begin }).end();
    }
    if (!isPlaced) return void response.writeHead(416, { ...place, ...range }).end();
    if (method === 'GET') return void response.writeHead(204, { ...place, ...range }).end();
    if (method === 'PATCH') return void response.writeHead(202, { ...place, ...range }).end();
    const blob = Buffer.concat(this.#parts);
    const wanted = url.searchParams.get('digest') ?? '';
    if (digestOf(blob) !== wanted)
      return void response.writeHead(400).end('{"errors":[{"code":"DIGEST_INVALID"}]}');
    this.blobs.set(wanted, blob);
    return void response.writeHead(201).end();
  }
}

const push = async (host: string, onSent: (bytes: number) => void = () => undefined) => {
  const config = Buffer.from('{}');
  const packed = packFiles(
    [{ name: 'w', path: join(root, 'weights'), mediaType: 'w', digest, size: content.length }],
    { configType: 'c', config },
  );
  // The small blob has nothing to say here.
  const only = new Map([...packed.blobs].filter(([key]) => key === digest));
  await new RegistryPush({
    fetch,
    ...registryOptions,
    // Waits pass at once; the watch over a silent connection stays real.
    clock: { ...systemClock, after: (ms, then) => systemClock.after(ms === idleMs ? ms : 0, then) },
    attempts: 3,
    idleMs,
    credentials: () => Promise.resolve({ username: 'u', password: 'p' }),
  }).push(
    parseReference(`${host}/team/sql:v1`),
    { ...packed, blobs: only },
    { signal, onProgress: ({ sentBytes }) => onSent(sentBytes) },
  );
};

const started = async (rules: Rules = {}) => {
  const uploads = new Uploads(rules);
  return { uploads, host: await listen(uploads.answer) };
};

const ranges = [`0-${piece - 1}`, `${piece}-${2 * piece - 1}`, `${2 * piece}-${content.length - 1}`];
const pieces = ranges.map((range) => `PATCH ${range}`);

describe('a large blob', () => {
  it('is sent in pieces, each with its place', async () => {
    const { uploads, host } = await started();
    const sent: number[] = [];
    await push(host, (bytes) => sent.push(bytes));
    expect(uploads.seen).toEqual(['HEAD', 'POST', ...pieces, 'PUT', 'PUT']);
    expect(uploads.blobs.get(digest)?.equals(content)).toBe(true);
    expect(sent).toEqual(sent.toSorted((a, b) => a - b));
    expect(sent.at(-1)).toBe(content.length);
  });

  it('goes on after a cut from the byte that the registry has', async () => {
    const { uploads, host } = await started({ cutsAt: [1.5 * piece] });
    await push(host);
    expect(uploads.blobs.get(digest)?.equals(content)).toBe(true);
    expect(uploads.seen.slice(0, 5)).toEqual(['HEAD', 'POST', ...pieces.slice(0, 2), 'GET']);
    const from = Number(/PATCH (\d+)-/.exec(uploads.seen[5] ?? '')?.[1]);
    expect(from).toBeGreaterThan(piece);
    // What was on its way when it broke is lost, and nothing else.
    expect(uploads.received).toBeLessThan(content.length + piece / 2);
  });

  it('goes on however often it is cut, as long as it gets further', async () => {
    const { uploads, host } = await started({ cutsAt: [0.5, 1.2, 1.9, 2.4].map((part) => part * piece) });
    await push(host);
    expect(uploads.blobs.get(digest)?.equals(content)).toBe(true);
    expect(uploads.seen.filter((asked) => asked === 'GET')).toHaveLength(4);
  });

  it.each([
    ['does not say what it has', 'GET', 404],
    ['answers the question with an error', 'GET', 416],
  ])('begins anew after a cut where the registry %s', async (_, method, status) => {
    const { uploads, host } = await started({
      cutsAt: [1.5 * piece],
      instead: (asked) => (asked === method ? status : undefined),
    });
    await push(host);
    expect(uploads.blobs.get(digest)?.equals(content)).toBe(true);
    expect(uploads.seen.filter((asked) => asked === 'POST')).toHaveLength(2);
  });

  it.each([400, 404, 405, 413])('is sent whole where pieces are answered with %d', async (status) => {
    const { uploads, host } = await started({
      instead: (method) => (method === 'PATCH' ? status : undefined),
    });
    await push(host);
    expect(uploads.blobs.get(digest)?.equals(content)).toBe(true);
    expect(uploads.seen).toEqual(['HEAD', 'POST', pieces[0], 'HEAD', 'POST', 'PUT', 'PUT']);
  });

  it('is sent in larger pieces where the registry wants them, and whole where one is enough', async () => {
    const larger = await started({ begin: { 'oci-chunk-min-length': String(2 * piece) } });
    await push(larger.host);
    expect(larger.uploads.seen[2]).toBe(`PATCH 0-${2 * piece - 1}`);
    const whole = await started({ begin: { 'oci-chunk-min-length': String(3 * piece) } });
    await push(whole.host);
    expect(whole.uploads.seen).toEqual(['HEAD', 'POST', 'PUT', 'PUT']);
    expect(whole.uploads.blobs.get(digest)?.equals(content)).toBe(true);
  });

  it('is given up with the words of the registry, which is asked for it once', async () => {
    const { uploads, host } = await started({
      instead: (method, count) => (method === 'PUT' && count === 1 ? 400 : undefined),
    });
    expect(await codeOf(() => push(host))).toBe('REGISTRY_REFUSED');
    expect(uploads.seen.filter((asked) => asked === 'PUT')).toHaveLength(1);
  });
});

it('credentials are not sent to another server that takes uploads', async () => {
  const storage = new Uploads({});
  const elsewhere = `http://${await listen(storage.answer)}`;
  const registry = new Uploads({
    elsewhere,
    instead: (method, count) => (method === 'HEAD' && count === 1 ? 401 : undefined),
  });
  const host = await listen((request, response) => {
    response.setHeader('www-authenticate', 'Basic realm="x"');
    registry.answer(request, response);
  });
  await push(host);
  expect(storage.blobs.get(digest)?.equals(content)).toBe(true);
  expect(registry.authorized).toContain('POST');
  expect(storage.authorized).toEqual([]);
});
