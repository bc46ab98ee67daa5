import { once } from 'node:events';
import { connect } from 'node:net';
import { expect, it, vi } from 'vitest';
import { startFakeGrpc, unaryCall } from '../testing/grpc-client.ts';
import { whileWeStandStill } from '../testing/stand-still.ts';
import { startGrpc } from './server.ts';

const limits = { maxConnections: 2, idleMs: 120_000, bodyMs: 60_000, bodyBytes: 8 << 20 };

/** A connection that says nothing. */
const openTo = async (address: string) => {
  const [host = '', port] = address.split(':');
  const socket = connect(Number(port), host);
  socket.on('error', () => undefined).resume();
  await once(socket, 'connect');
  return socket;
};

it('one connection more than there may be is closed, and those that are there go on', async () => {
  await using fake = await startFakeGrpc({ limits });
  const sockets = [await openTo(fake.address), await openTo(fake.address), await openTo(fake.address)];
  await vi.waitFor(() => expect(sockets.map(({ closed }) => closed)).toEqual([false, false, true]));
  sockets[0]?.destroy();
  const ask = () => unaryCall((callback) => fake.oip.serverLive({}, callback));
  await vi.waitFor(ask, { timeout: 20_000, interval: 100 });
  for (const socket of sockets) socket.destroy();
});

it('a call that its client reset before anybody looked is not begun', async () => {
  await using fake = await startFakeGrpc();
  const after = vi.spyOn(fake.parts.clock, 'after');
  const reset = `
    const session = require('node:http2').connect('http://' + data.address);
    session.on('connect', () => {
      let closed = 0;
      for (let i = 0; i < data.many; i += 1) {
        const stream = session.request({
          ':method': 'POST', ':path': '/adaptlet.inference.v1.Inference/Generate', 'content-type': 'application/grpc', te: 'trailers',
        });
        stream.on('error', () => undefined).on('close', () => { closed += 1; if (closed === data.many) done(); });
        stream.close(8);
      }
    });`;
  await whileWeStandStill(reset, { many: 50, address: fake.address });
  await unaryCall((callback) => fake.oip.serverLive({}, callback));
  // Each call that begins waits for its message.
  expect(after.mock.calls.length).toBeLessThan(10);
  expect(after).toHaveBeenCalled();
});

it('a server that closes ends connections that never became HTTP/2', async () => {
  const fake = await startFakeGrpc();
  const socket = await openTo(fake.address);
  await fake.server.close(50);
  await vi.waitFor(() => expect(socket.closed).toBe(true));
});

it('an address that is taken is an error of the configuration', async () => {
  await using fake = await startFakeGrpc();
  await expect(startGrpc({ ...fake.parts, address: fake.address })).rejects.toMatchObject({
    code: 'CONFIG_INVALID',
  });
});
