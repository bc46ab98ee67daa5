import { once } from 'node:events';
import { createServer } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { expect, it } from 'vitest';
import { cutCrumbs } from './crumbs.ts';
import { cut } from './deafen.ts';

const listening = async (onRequest: Parameters<typeof createServer>[1]) => {
  const server = createServer(onRequest).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    send: async (text: string): Promise<string> => {
      const socket = connect((server.address() as AddressInfo).port, '127.0.0.1');
      let came = '';
      socket.on('error', () => undefined).on('data', (data: Buffer) => void (came += String(data)));
      socket.write(text);
      await once(socket, 'close');
      return came;
    },
    [Symbol.dispose]: () => server.close(),
  };
};
const get = 'GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n';
const post = 'POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n';

it('of a packet nothing is told behind what ends its connection, and the next connections are told all', async () => {
  let requests = 0;
  using server = await listening((req, res) => {
    requests += 1;
    if (req.headers.connection === 'close') res.end('here');
    else cut(req.socket);
  });
  for (let i = 0; i < 10; i += 1) {
    requests = 0;
    expect(await server.send('GET / HTTP/1.1\r\nhost: x\r\n\r\n'.repeat(1000))).toBe('');
    expect(requests).toBe(1);
    expect(await server.send(get)).toMatch(/^HTTP\/1.1 200 [^]*here/);
    expect(requests).toBe(2);
  }
});

it('chunks of a few bytes are told up to those that end their connection, whether or not anybody reads', async () => {
  let told = 0;
  using server = await listening((req) => {
    cutCrumbs(req, cut);
    const push = req.push.bind(req);
    req.push = (part, encoding) => {
      told += 1;
      return push(part, encoding);
    };
  });
  expect(await server.send(post + '1\r\n \r\n'.repeat(9000))).toBe('');
  expect(told).toBe(1025);
});
