import { Socket } from 'node:net';
import { expect, it } from 'vitest';
import { FakeClock } from '../../time/fake-clock.ts';
import { Penalties } from './penalties.ts';

const attacker = '192.0.2.1';

/** Of an address, without a connection behind it. */
const socketOf = (address: string | undefined): Socket =>
  Object.defineProperty(new Socket(), 'remoteAddress', { value: address });

const start = () => {
  const clock = new FakeClock();
  const began: string[] = [];
  const told: string[] = [];
  const telemetry = {
    endedConnection: (protocol: string, cause: string) => void told.push(`${protocol} ${cause}`),
    delayedConnection: (protocol: string) => void told.push(`${protocol} delayed`),
  };
  const limits = {
    maxConnections: 4096,
    isGateway: (address: string | undefined) => address === '192.0.2.99',
  };
  const penalties = new Penalties({ clock, limits, telemetry }, 'grpc');
  const connect = (address: string | undefined, name = 'one'): Socket => {
    const socket = socketOf(address);
    penalties.admit(socket, () => void began.push(name));
    return socket;
  };
  return { clock, penalties, began, told, connect };
};

it('connections begin at once where none was ended', () => {
  const { connect, began } = start();
  for (let i = 0; i < 100; i += 1) connect(attacker);
  expect(began).toHaveLength(100);
});

it('the next connection of an address waits for one that was ended, and those of others do not', () => {
  const test = start();
  test.penalties.charge(attacker, 'resets');
  test.connect(attacker, 'again');
  test.connect('192.0.2.2', 'other');
  expect(test.began).toEqual(['other']);
  test.clock.advance(49);
  expect(test.began).toEqual(['other']);
  test.clock.advance(1);
  expect(test.began).toEqual(['other', 'again']);
  expect(test.told).toEqual(['grpc resets', 'grpc delayed']);
});

it('a wait is over by itself, also where nobody waited', () => {
  const test = start();
  test.penalties.charge(attacker, 'messages');
  test.clock.advance(1000);
  test.connect(attacker);
  expect(test.began).toHaveLength(1);
});

it('the next connection waits for clients of its address that left early too often', () => {
  const test = start();
  for (let i = 0; i < 40; i += 1) test.penalties.left(attacker, 1000);
  test.connect(attacker);
  expect(test.began).toHaveLength(1);
  test.penalties.left(attacker, 1001);
  test.connect(attacker);
  expect(test.began).toHaveLength(2);
  test.penalties.left(attacker, 1000);
  test.connect(attacker);
  expect(test.began).toHaveLength(2);
  test.clock.advance(49);
  expect(test.began).toHaveLength(2);
  test.clock.advance(1);
  expect(test.began).toHaveLength(3);
  expect(test.told).toEqual(['grpc left', 'grpc delayed']);
});

it('connections that waited begin one after another, in the order in which they came', () => {
  const test = start();
  test.penalties.charge(attacker, 'chunks');
  for (const name of ['a', 'b', 'c']) test.connect(attacker, name);
  const seen: string[][] = [];
  for (const ms of [20, 10, 10, 10]) {
    test.clock.advance(ms);
    seen.push([...test.began]);
  }
  expect(seen).toEqual([['a'], ['a', 'b'], ['a', 'b', 'c'], ['a', 'b', 'c']]);
  test.connect(attacker, 'd');
  expect(test.began.at(-1)).toBe('d');
});

it('who comes again at once with all of its connections has 33 of them in a second ended', () => {
  const test = start();
  let ended = 0;
  const again = (): void =>
    test.penalties.admit(socketOf(attacker), () => {
      ended += 1;
      test.penalties.charge(attacker, 'chunks');
      again();
    });
  test.penalties.charge(attacker, 'chunks');
  for (let i = 0; i < 8; i += 1) again();
  test.clock.advance(10_000);
  expect(ended).toBe(333);
});

it('none waits for longer than 2 s, whatever others of its address do meanwhile', () => {
  const test = start();
  for (let i = 0; i < 1000; i += 1) test.penalties.charge(attacker, 'messages');
  for (let i = 0; i < 1000; i += 1) test.connect(attacker);
  for (let i = 0; i < 20; i += 1) {
    test.penalties.charge(attacker, 'messages');
    test.clock.advance(99);
  }
  expect(test.began.length).toBeLessThan(100);
  test.clock.advance(20);
  expect(test.began).toHaveLength(1000);
});

it('addresses of one network of IPv6 wait for each other', () => {
  const test = start();
  test.penalties.charge('2001:db8::1', 'resets');
  test.connect('2001:db8::2');
  expect(test.began).toEqual([]);
  test.connect('2001:db8:0:1::2');
  expect(test.began).toHaveLength(1);
});

it.each([['192.0.2.99'], [undefined]])(
  'connections of %s, a gateway or no address, never wait',
  (address) => {
    const test = start();
    test.penalties.charge(attacker, 'messages');
    test.penalties.charge(address, 'messages');
    for (let i = 0; i < 100; i += 1) test.penalties.left(address, 1);
    test.connect(address);
    expect(test.began).toHaveLength(1);
    expect(test.told).toEqual(['grpc messages', 'grpc messages']);
  },
);

it('a connection that is gone, or breaks, before its turn does not begin, and takes no turn', () => {
  const test = start();
  test.penalties.charge(attacker, 'chunks');
  const socket = test.connect(attacker, 'gone');
  socket.emit('error', new Error('reset'));
  socket.destroy();
  test.connect(attacker, 'there');
  test.clock.advance(20);
  expect(test.began).toEqual(['there']);
});

it('a quarter of the connections that there may be waits for one address; one more is ended, those of others begin', async () => {
  const test = start();
  test.penalties.charge(attacker, 'chunks');
  const sockets = Array.from({ length: 1025 }, () => test.connect(attacker));
  expect(sockets.map(({ destroyed }) => destroyed).indexOf(true)).toBe(1024);
  test.connect('192.0.2.2', 'other');
  expect(test.began).toEqual(['other']);
  // One that leaves gives its place away.
  sockets[0]?.destroy();
  await new Promise(setImmediate);
  expect(test.connect(attacker).destroyed).toBe(false);
  expect(test.connect(attacker).destroyed).toBe(true);
});

it('behind its close nothing waits, begins or is charged', () => {
  const test = start();
  test.penalties.charge(attacker, 'messages');
  const waits = test.connect(attacker);
  test.penalties.close();
  expect(waits.destroyed).toBe(true);
  test.penalties.charge(attacker, 'messages');
  for (let i = 0; i < 100; i += 1) test.penalties.left(attacker, 1);
  test.clock.advance(3000);
  expect(test.began).toEqual([]);
  expect(test.told).toEqual(['grpc messages', 'grpc delayed']);
});
