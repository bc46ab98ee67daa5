import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { ServerCredentials } from '@grpc/grpc-js';
import { describe, expect, it } from 'vitest';
import { whileWeStandStill } from '../../../test/support/stand-still.ts';
import { parseAddress } from '../../settings/address.ts';
import { FakeClock } from '../../time/fake-clock.ts';
import { patienceMs } from '../ports/stranger-connections.ts';
import { Port } from './port.ts';
import { Stage } from './stage.fixture.ts';

it('a port that could not be listened on says why, and closes', async () => {
  const clock = new FakeClock();
  const taken = createServer().listen(0, '127.0.0.1');
  await once(taken, 'listening');
  const { port } = taken.address() as AddressInfo;
  for (const address of [`127.0.0.1:${port}`, 'nowhere']) {
    const one = new Port({ address, clock });
    await expect(one.listen(ServerCredentials.createInsecure())).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
    });
    await one.close(1_000);
  }
  taken.close();
});

describe('a port of runtimes', () => {
  const stage = new Stage({ maxStrangers: 5 });
  const open = async (): Promise<Socket> => {
    const socket = connect(parseAddress(stage.replica.server.address));
    socket.on('error', () => undefined).resume();
    await once(socket, 'connect');
    return socket;
  };
  const strangers = () => {
    const { size, ended } = stage.replica.server.gauges().strangers;
    const { grpc = 0, ...others } = ended;
    expect(others).toEqual({ devices: 0 });
    return { size, ended: grpc };
  };

  it('lets runtimes in beside strangers that take all places, and ends those', async () => {
    const sockets = await Promise.all([open(), open(), open(), open(), open(), open()]);
    await stage.eventually('the end of one too many', () => strangers().ended === 1);
    stage.clock.advance(10_000);
    const runtime = await stage.connected();
    expect(strangers()).toEqual({ size: 4, ended: 2 });
    // Reports keep its stream.
    for (let seconds = 0; seconds < 60; seconds += 5) {
      stage.clock.advance(5_000);
      runtime.report({ whole: true });
      await stage.quiet();
    }
    await stage.eventually('the end of all', () => sockets.every(({ closed }) => closed));
    expect(runtime.ended).toBeUndefined();
    expect(strangers()).toEqual({ size: 0, ended: 6 });
  });

  it('goes on where connections are reset before anybody looked', async () => {
    const { host, port } = parseAddress(stage.replica.server.address);
    const reset = `
      const net = require('node:net');
      let left = 200;
      for (let i = 0; i < 200; i += 1) {
        const socket = net.connect(data.port, data.host);
        socket.on('error', () => undefined).on('connect', () => socket.resetAndDestroy()).on('close', () => { if (--left === 0) done(); });
      }`;
    await whileWeStandStill(reset, { host, port });
    await stage.eventually('the end of them', () => strangers().ended > 0 && strangers().size === 0);
    stage.clock.advance(10_000);
    await stage.connected();
  });

  it('ends the connection of a runtime whose stream was over a minute ago', async () => {
    const runtime = await stage.connected();
    runtime.call.cancel();
    await stage.eventually('a stranger', () => strangers().size === 1);
    stage.clock.advance(patienceMs);
    await stage.eventually('its end', () => strangers().size === 0);
    expect(strangers().ended).toBe(1);
  });
});
