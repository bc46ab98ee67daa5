import type { ServerResponse } from 'node:http';
import { describe, expect, it } from 'vitest';
import { FakeClock } from '../../time/fake-clock.ts';
import { answering, type Handler, json } from './server.fixture.ts';

const watch = (signal = new AbortController().signal, silentMs = 10_000) => ({
  path: '/api/v1/things',
  query: { watch: 'true' },
  silentMs,
  signal,
});

describe('a stream', () => {
  it('gives documents as they come, and ends with the server', async () => {
    const { api } = await answering((_, response) => {
      response.writeHead(200);
      const bytes = Buffer.from('{"text":"grün"}\n{"n":2}\n');
      response.write(bytes.subarray(0, 12), () => {
        setImmediate(() => response.end(bytes.subarray(12)));
      });
    });
    const stream = await api.stream(watch());
    expect(await Array.fromAsync(stream)).toEqual([{ text: 'grün' }, { n: 2 }]);
  });

  it('that is refused is an error', async () => {
    const { api } = await answering((_, response) => json(response, 410, { message: 'too old' }));
    await expect(api.stream(watch())).rejects.toMatchObject({ code: 'KUBE_GONE' });
  });

  it.each<[string, Handler]>([
    [
      'the stream broke off',
      (request, response) => {
        response.writeHead(200).write('{"n":1}\n{"n"', () => {
          request.socket.resetAndDestroy();
        });
      },
    ],
    [
      'the stream has a line of more than 1000 bytes',
      (_, response) => void response.writeHead(200).write(`{"n":1}\n"${'x'.repeat(2000)}`),
    ],
    [
      'the stream has a line that is not JSON',
      (_, response) => void response.writeHead(200).write('{"n":1}\n{\n'),
    ],
    ['the stream ended within a line', (_, response) => void response.writeHead(200).end('{"n":1}\n{"n"')],
  ])('fails after what it gave: %s', async (what, handler) => {
    const { api } = await answering(handler, { limits: { maxLineBytes: 1000 } });
    const got: unknown[] = [];
    const read = async () => {
      for await (const document of await api.stream(watch())) got.push(document);
    };
    await expect(read()).rejects.toMatchObject({
      code: 'KUBE_UNAVAILABLE',
      what: expect.stringContaining(what),
    });
    expect(got).toEqual([{ n: 1 }]);
  });

  it('has a limit for its first bytes and one for silence, and none for its length', async () => {
    const clock = new FakeClock();
    const arrived = [Promise.withResolvers<ServerResponse>(), Promise.withResolvers<ServerResponse>()];
    let count = 0;
    const { api } = await answering((_, response) => arrived[count++]?.resolve(response), { clock });
    const slow = api.stream(watch());
    await arrived[0]?.promise;
    clock.advance(10_000);
    await expect(slow).rejects.toMatchObject({ what: expect.stringContaining('no answer within 10000 ms') });

    const opening = api.stream(watch());
    const answer = await arrived[1]?.promise;
    answer?.writeHead(200).flushHeaders();
    const stream = (await opening)[Symbol.asyncIterator]();
    for (let i = 0; i < 10; i++) {
      const next = stream.next();
      clock.advance(9000);
      answer?.write(`${i}\n`);
      expect(await next).toEqual({ done: false, value: i });
    }
    const last = stream.next();
    clock.advance(10_000);
    await expect(last).rejects.toMatchObject({
      code: 'KUBE_UNAVAILABLE',
      cause: { message: 'nothing was heard for 10000 ms' },
    });
  });

  it('ends with the reason of its signal, and closes its connection', async () => {
    const { api, requests } = await answering((_, response) => {
      response.writeHead(200).flushHeaders();
    });
    const stop = new AbortController();
    const stream = (await api.stream(watch(stop.signal)))[Symbol.asyncIterator]();
    const closed = new Promise((resolve) => requests[0]?.socket.once('close', resolve));
    const next = stream.next();
    const reason = new Error('enough');
    stop.abort(reason);
    await expect(next).rejects.toBe(reason);
    await closed;
  });

  it('that nobody reads is closed by its signal', async () => {
    const { api, requests } = await answering((_, response) => {
      response.writeHead(200).flushHeaders();
    });
    const stop = new AbortController();
    await api.stream(watch(stop.signal));
    const closed = new Promise((resolve) => requests[0]?.socket.once('close', resolve));
    stop.abort();
    await closed;
  });
});
