import type { IncomingMessage, ServerResponse } from 'node:http';
import { connect as connectTo } from 'node:net';
import { describe, expect, it, onTestFinished } from 'vitest';
import { FakeClock } from '../../time/fake-clock.ts';
import { answering, connect, get, type Handler, json, serve } from './server.fixture.ts';

const textOf = async (request: IncomingMessage): Promise<string> => {
  const chunks: Buffer[] = [];
  for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk);
  return Buffer.concat(chunks).toString();
};

describe('a request', () => {
  it('carries credentials, query and body, below the path of the server', async () => {
    const bodies: string[] = [];
    const { url, requests } = await serve(async (request, response) => {
      bodies.push(await textOf(request));
      json(response, 201, { ok: 'jä' });
    });
    const { api } = await connect(`${url}/k8s/clusters/one/`);
    expect(api.server).toBe(`${url}/k8s/clusters/one`);
    const answer = await api.request({
      method: 'PATCH',
      path: '/api/v1/things/a',
      query: { fieldManager: 'me & you' },
      body: { a: 'ü' },
      contentType: 'application/apply-patch+yaml',
    });
    expect(answer).toEqual({ ok: 'jä' });
    expect(bodies).toEqual(['{"a":"ü"}']);
    expect(requests[0]?.method).toBe('PATCH');
    expect(requests[0]?.url).toBe('/k8s/clusters/one/api/v1/things/a?fieldManager=me+%26+you');
    expect(requests[0]?.headers).toMatchObject({
      authorization: 'Bearer secret',
      'content-type': 'application/apply-patch+yaml',
    });
  });

  it('goes through the proxy that the kubeconfig names', async () => {
    const { url } = await serve((_, response) => json(response, 200, { ok: true }));
    const proxy = await serve(() => {});
    const targets: (string | undefined)[] = [];
    proxy.server.on('connect', (request, client) => {
      targets.push(request.url);
      const { hostname, port } = new URL(url);
      const upstream = connectTo(Number(port), hostname, () => {
        client.write('HTTP/1.1 200 OK\r\n\r\n');
        client.pipe(upstream).pipe(client);
      });
      onTestFinished(() => void client.destroy());
    });
    const { api } = await connect(url, undefined, { cluster: { 'proxy-url': proxy.url } });
    expect(await api.request(get)).toEqual({ ok: true });
    expect(targets).toEqual([new URL(url).host]);
  });

  it('keeps its connection for the next one', async () => {
    const { api, sockets } = await answering((_, response) => json(response, 200, {}));
    for (let i = 0; i < 3; i++) await api.request(get);
    expect(sockets.size).toBe(1);
  });

  it('is sent again where the kept connection was closed meanwhile, unless it changes something', async () => {
    let served = 0;
    const { api, requests } = await answering((request, response) => {
      served += 1;
      if (served % 2 === 0) request.socket.resetAndDestroy();
      else json(response, 200, { served });
    });
    expect(await api.request(get)).toEqual({ served: 1 });
    expect(await api.request(get)).toEqual({ served: 3 });
    await expect(api.request({ ...get, method: 'POST', body: {} })).rejects.toMatchObject({
      code: 'KUBE_UNAVAILABLE',
    });
    expect(requests).toHaveLength(4);
  });

  it.each([
    [400, 'KUBE_INVALID'],
    [403, 'KUBE_FORBIDDEN'],
    [404, 'KUBE_NOT_FOUND'],
    [405, 'KUBE_INVALID'],
    [408, 'KUBE_UNAVAILABLE'],
    [409, 'KUBE_CONFLICT'],
    [410, 'KUBE_GONE'],
    [413, 'KUBE_INVALID'],
    [415, 'KUBE_INVALID'],
    [422, 'KUBE_INVALID'],
    [429, 'KUBE_UNAVAILABLE'],
    [500, 'KUBE_UNAVAILABLE'],
    [503, 'KUBE_UNAVAILABLE'],
  ])('that is answered by %i is the error %s with the server’s words', async (status, code) => {
    const { api } = await answering((_, response) =>
      json(response, status, { kind: 'Status', message: 'things "a"\n are not\u0007 for you', code: status }),
    );
    await expect(api.request(get)).rejects.toMatchObject({
      code,
      what: `GET /api/v1/things/a: things "a" are not for you (${status})`,
      retryAfterMs: undefined,
    });
  });

  it('keeps explanations short, also those that are no Status', async () => {
    const { api } = await answering((_, response) => {
      response.writeHead(502).end(`<html>${'x'.repeat(5000)}`);
    });
    const error: unknown = await api.request(get).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({
      code: 'KUBE_UNAVAILABLE',
      what: expect.stringMatching(/<html>x{994}… \(502\)$/),
    });
  });

  it.each([
    ['7', undefined, 7000],
    ['Tue, 14 Nov 2023 22:13:50 GMT', undefined, 30_000],
    [undefined, 3, 3000],
    ['soon', undefined, undefined],
  ])('says when to come back: Retry-After %s, retryAfterSeconds %s', async (header, seconds, ms) => {
    const { api } = await answering(
      (_, response) =>
        json(
          response,
          429,
          { message: 'slow down', details: { retryAfterSeconds: seconds } },
          header === undefined ? {} : { 'retry-after': header },
        ),
      { clock: new FakeClock(1_700_000_000_000) },
    );
    await expect(api.request(get)).rejects.toMatchObject({ code: 'KUBE_UNAVAILABLE', retryAfterMs: ms });
  });

  it('follows no redirect', async () => {
    const { api, requests } = await answering((_, response) => {
      response.writeHead(302, { location: 'http://127.0.0.1:1/elsewhere' }).end();
    });
    await expect(api.request(get)).rejects.toMatchObject({
      code: 'KUBE_UNAVAILABLE',
      what: expect.stringContaining('answered 302 and names http://127.0.0.1:1/elsewhere'),
    });
    expect(requests).toHaveLength(1);
  });

  it.each(['/api/v1/../../metrics', '/api/v1/./x', 'api'])(
    'goes nowhere but to its path: %s',
    async (path) => {
      const { api, requests } = await answering((_, response) => json(response, 200, {}));
      await expect(api.request({ method: 'GET', path })).rejects.toMatchObject({ code: 'KUBE_INVALID' });
      expect(requests).toHaveLength(0);
    },
  );

  it.each<[string, Handler]>([
    [
      'the answer has more than 1000 bytes',
      (_, response) => void response.writeHead(200).write('x'.repeat(1001)),
    ],
    ['the answer is not JSON', (_, response) => void response.writeHead(200).end('<html>')],
    [
      'the answer broke off',
      (request, response) => {
        response.writeHead(200, { 'content-length': '100' }).write('{"a":', () => {
          request.socket.resetAndDestroy();
        });
      },
    ],
    ['did not answer: ECONNRESET', (request) => request.socket.resetAndDestroy()],
  ])('fails: %s', async (what, handler) => {
    const { api } = await answering(handler, { limits: { maxBodyBytes: 1000 } });
    await expect(api.request(get)).rejects.toMatchObject({
      code: 'KUBE_UNAVAILABLE',
      what: expect.stringContaining(what),
    });
  });

  it('fails where nobody listens', async () => {
    const { api } = await connect('http://127.0.0.1:1');
    await expect(api.request(get)).rejects.toMatchObject({
      code: 'KUBE_UNAVAILABLE',
      what: 'GET /api/v1/things/a: 127.0.0.1:1 did not answer: ECONNREFUSED',
    });
  });

  it.each<[string, (response: ServerResponse) => void]>([
    ['headers', () => {}],
    ['a body', (response) => void response.writeHead(200).write('{')],
  ])('has a limit of time, also when %s do not come', async (_, begin) => {
    const clock = new FakeClock();
    const arrived = Promise.withResolvers<void>();
    const { api, requests } = await answering(
      (_request, response) => {
        begin(response);
        arrived.resolve();
      },
      { clock },
    );
    const answer = api.request(get);
    const closed = arrived.promise.then(
      () => new Promise((resolve) => requests[0]?.socket.once('close', resolve)),
    );
    await arrived.promise;
    clock.advance(30_000);
    await expect(answer).rejects.toMatchObject({
      code: 'KUBE_UNAVAILABLE',
      what: 'GET /api/v1/things/a: no answer within 30000 ms',
    });
    await closed;
  });

  it('ends with the reason of its signal', async () => {
    const arrived = Promise.withResolvers<void>();
    const { api } = await answering(() => {
      arrived.resolve();
    });
    const stop = new AbortController();
    const answer = api.request({ ...get, signal: stop.signal });
    await arrived.promise;
    const reason = new Error('enough');
    stop.abort(reason);
    await expect(answer).rejects.toBe(reason);
    await expect(api.request({ ...get, signal: stop.signal })).rejects.toBe(reason);
  });
});
