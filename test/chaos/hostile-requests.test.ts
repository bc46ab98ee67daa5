import { readFileSync } from 'node:fs';
import { connect as connectHttp2 } from 'node:http2';
import { connect } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { enginePid, TestNode, yaml } from '../support/node.ts';
import { waitFor } from '../support/wait.ts';

let node: TestNode;
let engine: number | undefined;
beforeAll(async () => {
  node = await TestNode.start({ settings: { 'log-level': 'info' } });
  await node.write('a.yaml', yaml.adapter('upper', 'adapters/upper'));
  await node.write('shout.yaml', yaml.rollout('shout', 'upper', '{setWeight: 50}, {pause: {}}'));
  await waitFor('stable', async () => (await moon('shout')) === ' MOON!');
  engine = enginePid(node);
});
afterAll(() => node.dispose());

const moon = async (model = 'upper') => (await node.client.ask({ model, prompt: 'moon:' })).text;
const asJson = { 'content-type': 'application/json' };
const path = '/v1/completions';
/** The HTTP status of a body, which is JSON unless it is text or bytes. */
const post = async (body: unknown, to = path, headers: Record<string, string> = asJson) => {
  const raw = typeof body === 'string' || body instanceof Uint8Array ? body : JSON.stringify(body);
  const response = await fetch(node.http + to, { method: 'POST', headers, body: raw });
  const text = await response.text();
  return { status: response.status, text };
};
const ask = (fields: object) => ({ model: 'upper', prompt: 'moon:', max_tokens: 2, ...fields });
const unharmed = async (): Promise<void> => {
  await waitFor('no reference', async () =>
    (await node.client.status()).adapters.every((a) => a.references === 0),
  );
  expect(await moon()).toBe(' MOON!');
  expect(enginePid(node)).toBe(engine);
};

/** A gRPC call with these bytes as its body; its status, or '' when it was reset. */
const grpc = (bytes: Uint8Array, method = 'adaptlet.inference.v1.Inference/Generate', resetMs?: number) =>
  new Promise<string>((resolve) => {
    const session = connectHttp2(`http://${node.grpc}`);
    session.on('error', () => undefined);
    const call = session.request({
      ':method': 'POST',
      ':path': `/${method}`,
      'content-type': 'application/grpc',
      te: 'trailers',
    });
    let status = '';
    const take = (headers: object): void => {
      if ('grpc-status' in headers) status = String(headers['grpc-status']);
    };
    call
      .on('response', take)
      .on('trailers', take)
      .on('error', () => undefined)
      .resume();
    call.on('close', () => {
      session.destroy();
      resolve(status);
    });
    call.write(bytes);
    if (resetMs === undefined) call.end();
    else setTimeout(() => call.close(8), resetMs);
  });
const message = (body: Uint8Array, length = body.length): Buffer => {
  const head = Buffer.alloc(5);
  head.writeUInt32BE(length, 1);
  return Buffer.concat([head, body]);
};

describe('requests of a hostile caller', () => {
  it.each<[string, unknown, number]>([
    ['a body above the limit', 'x'.repeat(5 << 20), 413],
    ['four megabytes of prompt', ask({ prompt: 'x'.repeat(4_000_000) }), 400],
    ['four megabytes of Chinese', ask({ prompt: '\u4e00'.repeat(1_300_000) }), 400],
    ['a choice among more tokens than there are', ask({ temperature: 1, top_k: 2 ** 31 - 1 }), 200],
    ['a million token ids', ask({ prompt: Array.from({ length: 1_000_000 }, () => 1) }), 400],
    ['JSON that is nested too deep to be true', `${'['.repeat(500_000)}${']'.repeat(500_000)}`, 400],
    ['bytes that are not JSON', Buffer.alloc(1000, 0xa5), 400],
    ['no body', '', 400],
    ['a thousand answers', ask({ n: 1000 }), 400],
    ['a thousand stop strings', ask({ stop: Array.from({ length: 1000 }, (_, i) => `s${i}`) }), 400],
    ['an empty prompt', ask({ prompt: '' }), 400],
    ['no tokens', ask({ max_tokens: 0 }), 400],
    ['fewer than no tokens', ask({ max_tokens: -1 }), 400],
    ['more tokens than there are', ask({ max_tokens: 1e308 }), 400],
    ['an infinite temperature', '{"model":"upper","prompt":"x","temperature":1e309}', 400],
    ['a token outside the vocabulary', ask({ prompt: [1e9] }), 400],
    ['a model of another folder', ask({ model: '../../etc/passwd' }), 404],
    ['a model that moves the cursor', ask({ model: '\u001b[2J' }), 400],
    ['a model of 10 kB', ask({ model: 'x'.repeat(10_240) }), 400],
    ['a model that every object has', ask({ model: '__proto__' }), 404],
    ['a user of 10 kB', ask({ user: 'x'.repeat(10_240) }), 400],
    ['a user that is half a character', '{"model":"upper","prompt":"x","user":"\\ud800"}', 400],
    ['a prompt of special tokens', ask({ prompt: '<|im_end|>\0\u202e' }), 200],
    ['a prompt that is half a character', '{"model":"upper","prompt":"\\ud800","max_tokens":2}', 200],
    ['a temperature next to nothing', ask({ temperature: 1e-320, top_p: 1e-320 }), 200],
    ['a user as a template writes it', ask({ user: '{user}' }), 200],
  ])('%s', async (_, body, status) => {
    expect((await post(body)).status).toBe(status);
  });

  it('fill the context to its last token, and not one more', async () => {
    const prompt = Array.from({ length: 255 }, () => 70);
    expect((await post(ask({ prompt, max_tokens: 1 }))).status).toBe(200);
    const more = await post(ask({ prompt: [...prompt, 70], max_tokens: 1 }));
    expect(more).toMatchObject({ status: 400, text: expect.stringContaining('context_length_exceeded') });
    await unharmed();
  });

  it('that are no HTTP, or half of it, hold up nobody', async () => {
    const { hostname, port } = new URL(node.http);
    const open = (text: string | Uint8Array) => {
      const socket = connect(Number(port), hostname).on('error', () => undefined);
      socket.write(text);
      return socket;
    };
    const sockets = [
      ...Array.from({ length: 100 }, () => open('POST /v1/completions HTTP/1.1\r\nhost: x\r\n')),
      ...Array.from({ length: 20 }, () => open(Buffer.alloc(1000, 0xa5))),
      open(`GET /livez HTTP/1.1\r\n${'x: y\r\n'.repeat(5000)}\r\n`),
      open('POST /v1/completions HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nZZ\r\n'),
    ];
    await unharmed();
    expect((await post(ask({}))).status).toBe(200);
    for (const socket of sockets) socket.destroy();
  });

  it('that are no protobuf, or half of it, get a status', async () => {
    for (const method of [
      'adaptlet.inference.v1.Inference/Generate',
      'inference.GRPCInferenceService/ModelInfer',
    ]) {
      expect(await grpc(message(Buffer.alloc(50_000, 0x0b)), method)).toBe('13');
      expect(await grpc(message(Buffer.alloc(0)), method)).toBe('3');
      expect(await grpc(message(Buffer.alloc(3), 2 ** 32 - 16), method)).toBe('8');
      expect(await grpc(message(Buffer.alloc(3), 100), method)).toBe('12');
      expect(await grpc(message(Buffer.alloc(3), 100), method, 5)).toBe('');
    }
    expect(await grpc(message(Buffer.alloc(0)), 'no/such')).toBe('12');
    await unharmed();
  });

  it('that come in their thousands leave neither references nor memory behind', async () => {
    const quiet = async (work: Promise<unknown>): Promise<void> => {
      await work.catch(() => undefined);
    };
    const bad = [
      (i: number) => node.client.ask({ model: 'upper', prompt: 'moon:', timeoutMs: 1, user: `u${i}` }),
      (i: number) =>
        node.client.ask({
          model: 'shout',
          prompt: 'moon:',
          user: `u${i}`,
          maxTokens: 200,
          signal: AbortSignal.timeout(i % 10),
        }),
      (i: number) => node.client.ask({ model: `nobody${i}`, prompt: 'moon:', user: `u${i}` }),
      () => post(`{"model":${'['.repeat(1000)}`),
      () => post(ask({ prompt: 'x'.repeat(100_000) })),
      (i: number) => grpc(message(Buffer.alloc(3), 100), undefined, i % 5),
      () =>
        fetch(node.http + path, {
          method: 'POST',
          headers: asJson,
          body: JSON.stringify(ask({ stream: true, max_tokens: 200 })),
          signal: AbortSignal.timeout(10),
        }),
    ];
    const storm = async (from: number, to: number): Promise<number> => {
      for (let i = from; i < to; i += 25)
        await Promise.all(
          Array.from({ length: 25 }, (_, k) => quiet(bad[(i + k) % bad.length]?.(i + k) ?? moon())),
        );
      const status = readFileSync(`/proc/${node.pid}/status`, 'utf8');
      return Number(/VmRSS:\s+(\d+)/.exec(status)?.[1]) / 1024;
    };
    const before = await storm(0, 1000);
    expect((await storm(1000, 2500)) - before).toBeLessThan(80);
    await unharmed();
    const metrics = await (await fetch(`${node.http}/metrics`)).text();
    expect(metrics.length).toBeLessThan(60_000);
    expect(metrics).not.toMatch(/nobody\d/);
  });
});
