import { once } from 'node:events';
import { connect, constants, type IncomingHttpHeaders } from 'node:http2';
import { type AddressInfo, connect as connectTcp, createServer } from 'node:net';
import { gzipSync } from 'node:zlib';
import { expect, it } from 'vitest';
import { nodeToken } from './fake-replica.ts';
import { Stage } from './stage.fixture.ts';

const stage = new Stage();

/** A message as gRPC sends it: a flag, the length, the bytes. */
const framed = (flag: number, bytes: Buffer): Buffer => {
  const head = Buffer.alloc(5, flag);
  head.writeUInt32BE(bytes.length, 1);
  return Buffer.concat([head, bytes]);
};

const long = framed(0, Buffer.alloc(8 << 20));

/** Sends a message of 8 MiB, or these pieces, until the other side takes no more of it. `taken`: bytes on the wire. */
const send = async (
  address: string,
  path: string,
  {
    bundle,
    headers = {},
    pieces = [long],
  }: { bundle: string; headers?: IncomingHttpHeaders; pieces?: readonly Buffer[] },
) => {
  let taken = 0;
  const [, host = '', port = ''] = /^(.*):(\d+)$/.exec(address) ?? [];
  const between = createServer((near) => {
    const far = connectTcp(Number(port), host);
    near.on('data', (some: Buffer) => (taken += some.length));
    near.pipe(far).pipe(near);
    for (const side of [near, far]) side.on('error', () => undefined);
  }).listen(0, host);
  await once(between, 'listening');
  const session = connect(`https://${host}:${(between.address() as AddressInfo).port}`, {
    ca: bundle,
    servername: 'localhost',
  });
  session.on('error', () => undefined);
  const common = { ':method': 'POST', ':path': path, 'content-type': 'application/grpc', te: 'trailers' };
  const call = session.request({ ...common, ...headers });
  const answered: IncomingHttpHeaders = {};
  for (const event of ['response', 'trailers'] as const)
    call.on(event, (some: IncomingHttpHeaders) => void Object.assign(answered, some));
  call.on('error', () => undefined).resume();
  await once(session, 'connect');
  const ping = () => new Promise((resolve) => session.ping(resolve));
  for (const piece of pieces) {
    call.write(piece);
    await ping();
  }
  // Each answer comes behind what the other side said of the window before.
  for (let turn = 0; turn < 50; turn++) await ping();
  session.destroy();
  between.close();
  return { answered, taken };
};

const enrol = '/adaptlet.enrolment.v1.Enrolment/Enrol';
const sync = '/adaptlet.control.v1.Control/Sync';
/** The window of HTTP/2, and as much that Node takes in; with room for what TLS adds. */
const most = 150_000;

it('of a stream nothing is read while its token is being reviewed', async () => {
  const { server, authority } = stage.replica;
  const reviewed = new Promise(() => undefined);
  stage.api.before = () => reviewed;
  const { bundle } = authority.credentials();
  const headers = { authorization: `Bearer ${nodeToken()}` };
  const { answered, taken } = await send(server.address, sync, { bundle, headers });
  expect(answered).toEqual({});
  expect(taken).toBeLessThanOrEqual(most);
});

it('who is not known yet has one call at a time on a connection', async () => {
  const { server, authority } = stage.replica;
  const reviewed = new Promise(() => undefined);
  stage.api.before = () => reviewed;
  const session = connect(`https://${server.address}`, {
    ca: authority.credentials().bundle,
    servername: 'localhost',
  });
  await once(session, 'connect');
  const ask = () => {
    const call = session.request({
      ':method': 'POST',
      ':path': sync,
      'content-type': 'application/grpc',
      authorization: `Bearer ${nodeToken()}`,
    });
    call.on('error', () => undefined).resume();
    return { call, closed: new Promise((resolve) => call.once('close', resolve)) };
  };
  const turns = async (): Promise<void> => {
    for (let turn = 0; turn < 50; turn++) await new Promise((resolve) => session.ping(resolve));
  };
  const first = ask();
  await turns();
  const others = Array.from({ length: 15 }, ask);
  await Promise.all(others.map(({ closed }) => closed));
  expect(others.map(({ call }) => call.rstCode)).toEqual(Array(15).fill(constants.NGHTTP2_REFUSED_STREAM));
  expect(first.call.closed).toBe(false);
  first.call.close();
  // Else what its client sends of the next one may come first.
  await first.closed;
  const second = ask();
  second.call.write(framed(0, Buffer.alloc(40_000)));
  await turns();
  expect(second.call.closed).toBe(false);
  // What came of it is held.
  second.call.close(constants.NGHTTP2_NO_ERROR);
  await second.closed;
  const third = ask();
  await third.closed;
  expect(third.call.rstCode).toBe(constants.NGHTTP2_REFUSED_STREAM);
  session.destroy();
});

it('a request for a certificate is not read to its end where it is long', async () => {
  const { server, devices } = stage.replica;
  const { bundle } = devices.authority.credentials();
  const { answered, taken } = await send(server.deviceAddress ?? '', enrol, { bundle });
  expect(answered['x-adaptlet-error']).toBe('ENROLMENT_INVALID');
  expect(answered['grpc-message']).toContain('65536%20bytes');
  // The rest is thrown away.
  expect(taken).toBeGreaterThan(most);
});

const compressed = framed(1, gzipSync(Buffer.alloc(8 << 20)));
const more = framed(0, Buffer.alloc(100));
const empty = framed(0, Buffer.alloc(0));
const bytesOf = (message: Buffer): Buffer[] => [...message].map((byte) => Buffer.of(byte));

it('a request for a certificate is not read where it is compressed, however short it is', async () => {
  const { server, devices } = stage.replica;
  const { bundle } = devices.authority.credentials();
  const { answered } = await send(server.deviceAddress ?? '', enrol, {
    bundle,
    headers: { 'grpc-encoding': 'gzip' },
    pieces: [compressed],
  });
  expect(answered['x-adaptlet-error']).toBe('BODY_ENCODED');
  expect(answered['grpc-message']).toContain('gzip');
});

it.each([
  ['at once', [Buffer.concat([empty, more, more])]],
  ['byte by byte', [...bytesOf(empty), more, more]],
  ['in a piece with the end of the first', [empty.subarray(0, 3), Buffer.concat([empty.subarray(3), more])]],
])('a second message behind a request for a certificate is not read where it comes %s', async (_, pieces) => {
  const { server, devices } = stage.replica;
  const { bundle } = devices.authority.credentials();
  const { answered } = await send(server.deviceAddress ?? '', enrol, { bundle, pieces });
  expect(answered['x-adaptlet-error']).toBe('ENROLMENT_INVALID');
  expect(answered['grpc-message']).toContain('more%20than%20one%20message');
});

it('a request for a certificate that comes byte by byte is read', async () => {
  const { server, devices } = stage.replica;
  const { bundle } = devices.authority.credentials();
  const pieces = bytesOf(framed(0, Buffer.alloc(300, 0xff)));
  const { answered } = await send(server.deviceAddress ?? '', enrol, { bundle, pieces });
  // grpc-js decodes it: this is no request.
  expect(answered['grpc-message']).toContain('deserializing');
});
