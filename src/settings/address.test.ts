import { once } from 'node:events';
import { createServer } from 'node:https';
import { connect } from 'node:net';
import { expect, it } from 'vitest';
import { isLoopback, listenOn, openSockets } from './address.ts';

it.each([
  ['127.0.0.1:9000', true],
  ['127.1.2.3:0', true],
  ['localhost:9000', true],
  ['[::1]:9000', true],
  ['unix:/run/adaptlet.sock', true],
  ['0.0.0.0:9000', false],
  [':9000', false],
  ['[::]:9000', false],
  ['10.0.0.1:9000', false],
  ['127.example:9000', false],
])('%s is loopback: %s', (address, expected) => {
  expect(isLoopback(address)).toBe(expected);
});

it('connections that never begin their handshake are among those of a server, which closes once they are ended', async () => {
  const server = createServer();
  const open = openSockets(server);
  const port = await listenOn(server, '127.0.0.1:0');
  const socket = connect(port, '127.0.0.1');
  socket.on('error', () => undefined).resume();
  await Promise.all([once(socket, 'connect'), once(server, 'connection')]);
  const closed = new Promise((resolve) => server.close(resolve));
  server.closeAllConnections();
  // It would be two minutes until Node ends it.
  expect(open.size).toBe(1);
  for (const one of open) one.destroy();
  await closed;
  await expect.poll(() => open.size).toBe(0);
});
