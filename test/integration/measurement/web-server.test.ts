import { createServer, type RequestListener } from 'node:http';
import { type AddressInfo, createServer as createTcpServer, type Server, type Socket } from 'node:net';
import { gzipSync } from 'node:zlib';
import { afterEach, describe, expect, it } from 'vitest';
import { createMeasure } from '../../../src/measurement/measure.ts';
import { maxAnswerBytes } from '../../../src/measurement/source.ts';
import { waitFor } from '../../support/wait.ts';

const variables = { namespace: 'team-a', rollout: 'sql', 'canary.adapter': 'sql.v2' };
const servers: Server[] = [];
const sockets = new Set<Socket>();

const listen = async (server: Server): Promise<string> => {
  servers.push(server);
  server.on('connection', (socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined).once('close', () => sockets.delete(socket));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
};

afterEach(() => {
  for (const socket of sockets) socket.destroy();
  for (const server of servers.splice(0)) server.close();
});

const web = (listener: RequestListener): Promise<string> => listen(createServer(listener));
/** A server that sends these bytes to whoever connects, and then what `more` does. */
const raw = (head: string, more: (socket: Socket) => void = () => undefined): Promise<string> =>
  listen(
    createTcpServer((socket) => {
      socket.once('data', () => {
        socket.write(head);
        more(socket);
      });
    }),
  );

const measure = createMeasure({ fetch, hosts: [] });
const ask = (url: string, signal = AbortSignal.timeout(20_000), jsonPath = '$.n'): Promise<number> =>
  measure({ http: { url, jsonPath } }, variables, signal);

const json = 'HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n';

describe('a metric of a real web server', () => {
  it('is the number at its path, asked for with no more than is needed', async () => {
    const seen: unknown[] = [];
    const url = await web(({ method, url: path, headers }, response) => {
      seen.push({ method, path, agent: headers['user-agent'], cookie: headers.cookie });
      response.setHeader('content-type', 'application/json').setHeader('set-cookie', 'a=b');
      response.end('{"scores": [{"sql.v2": "0.25"}]}');
    });
    const path = '$.scores[0].{{canary.adapter}}';
    for (const _ of [1, 2])
      expect(await ask(`${url}/{{namespace}}?a={{canary.adapter}}`, undefined, path)).toBe(0.25);
    const request = { method: 'GET', path: '/team-a?a=sql.v2', agent: 'adaptlet', cookie: undefined };
    expect(seen).toEqual([request, request]);
  });

  it('leaves no connection behind', async () => {
    const url = await web((_, response) => {
      response.setHeader('content-type', 'application/json').end('{"n": 1}');
    });
    await ask(url);
    await waitFor('the connection to close', () => sockets.size === 0, 3000);
  });

  it('is not looked for where a redirect leads', async () => {
    let visited = 0;
    const target = await web((_, response) => {
      visited++;
      response.setHeader('content-type', 'application/json').end('{"n": 1}');
    });
    const url = await web((_, response) => response.writeHead(302, { location: target }).end());
    await expect(ask(url)).rejects.toThrow('answers 302, a redirect, which is not followed');
    expect(visited).toBe(0);
  });

  it('of a server that is not there is an error that says why', async () => {
    const url = await web(() => undefined);
    await new Promise((resolve) => servers.pop()?.close(resolve));
    await expect(ask(url)).rejects.toThrow(`${url}/ did not answer: ECONNREFUSED`);
    await expect(ask('http://no-such-host.invalid/')).rejects.toThrow(
      /did not answer: (ENOTFOUND|EAI_AGAIN)/,
    );
  });
});

describe('a server that means harm', () => {
  const tooLarge = `answers more than ${maxAnswerBytes} bytes`;

  it('with a body that says it is 1 GB is not read', async () => {
    const url = await raw(`${json}content-length: 1000000000\r\n\r\n`);
    await expect(ask(url)).rejects.toThrow(tooLarge);
  });

  it('with a body that does not end is read up to the limit, and then left', async () => {
    let sent = 0;
    const url = await raw(`${json}\r\n`, (socket) => {
      const chunk = Buffer.alloc(65_536, ' ');
      const send = (): void => {
        sent += chunk.length;
        if (!socket.destroyed) socket.write(chunk, send);
      };
      send();
    });
    await expect(ask(url)).rejects.toThrow(tooLarge);
    await waitFor('the connection to close', () => sockets.size === 0, 3000);
    // What the sockets of both sides hold comes on top.
    expect(sent).toBeLessThan(64 * 1024 ** 2);
  });

  it('with a small body that unpacks to 1 GB is not unpacked', async () => {
    const member = gzipSync(Buffer.alloc(16 * 1024 ** 2, ' '));
    const bomb = Buffer.concat(Array.from({ length: 64 }, () => member));
    const url = await web((_, response) => {
      response.writeHead(200, { 'content-type': 'application/json', 'content-encoding': 'gzip' }).end(bomb);
    });
    const before = process.memoryUsage().rss;
    await expect(ask(url)).rejects.toThrow(tooLarge);
    expect(process.memoryUsage().rss - before).toBeLessThan(256 * 1024 ** 2);
  });

  it.each([
    ['before its first byte', ''],
    ['within its headers', json],
    ['within its body', `${json}content-length: 100\r\n\r\n{"n": 1`],
  ])('that goes silent %s is left when the time is over', async (_, head) => {
    const stop = new AbortController();
    const url = await raw(head, () => stop.abort(new Error('time is over')));
    await expect(ask(url, stop.signal)).rejects.toThrow('time is over');
    await waitFor('the connection to close', () => sockets.size === 0, 3000);
  });

  it.each([
    ['no HTTP', 'hello, private\r\n\r\n', 'did not answer: HTTPParserError'],
    [
      'headers that are too large',
      `${json}x: ${'a'.repeat(70_000)}\r\n\r\n`,
      'did not answer: UND_ERR_HEADERS_OVERFLOW',
    ],
    ['less than it said', `${json}content-length: 100\r\n\r\n{"private"`, 'did not answer: UND_ERR_'],
    ['nothing', '', 'did not answer: UND_ERR_SOCKET'],
  ])('that sends %s is an error, and nothing of it is quoted', async (_, bytes, message) => {
    const url = await raw(bytes, (socket) => socket.end());
    const error: unknown = await ask(url).catch((thrown: unknown) => thrown);
    expect(String(error)).toContain(message);
    expect(String(error)).not.toContain('private');
  });

  it.each([
    ['open lists', '['.repeat(maxAnswerBytes), 'answers no JSON'],
    ['open objects', '{"a":'.repeat(maxAnswerBytes / 5 - 1), 'answers no JSON'],
    [
      'lists in lists',
      '['.repeat(maxAnswerBytes / 2) + ']'.repeat(maxAnswerBytes / 2),
      "has nothing at $['n']",
    ],
    ['bytes that are no text', Buffer.from([0x22, 0xff, 0xfe, 0x22]), 'answers no JSON'],
  ])('with nothing but %s is an error', async (_, body, message) => {
    const url = await web((__, response) => {
      response.setHeader('content-type', 'application/json').end(body);
    });
    await expect(ask(url)).rejects.toThrow(message);
  });
});
