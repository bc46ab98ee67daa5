import { connect } from 'node:net';
import { text } from 'node:stream/consumers';
import { deflateSync, gzipSync } from 'node:zlib';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { startFakeHttp } from '../testing/http-app.ts';
import { fakeParts } from '../testing/parts.ts';
import { startHttp } from './server.ts';

const advice =
  'Send it as it is, without such a header, or with `identity`; tritonclient does so without request_compression_algorithm (HTTP) and compression_algorithm (gRPC).';
const completion = JSON.stringify({ model: 'sql', prompt: 'abc', max_tokens: 1 });
const inference = JSON.stringify({
  inputs: [{ name: 'text', shape: [1], datatype: 'BYTES', data: ['abc'] }],
  parameters: { max_tokens: 1 },
});
const infer = '/v2/models/sql/infer';

let server: Awaited<ReturnType<typeof startHttp>>;
beforeAll(async () => {
  server = await startHttp({ ...fakeParts(), address: '127.0.0.1:0' });
});
afterAll(() => server.close(100));

/** The whole answer to a request, as it came. */
const ask = (
  path: string,
  fields: Readonly<Record<string, string>>,
  body: Buffer | string,
): Promise<string> => {
  const lines = Object.entries({
    host: 'x',
    connection: 'close',
    'content-type': 'application/json',
    'content-length': String(Buffer.byteLength(body)),
    ...fields,
  }).map(([name, value]) => `${name}: ${value}\r\n`);
  const socket = connect(server.port, '127.0.0.1');
  socket.write(`POST ${path} HTTP/1.1\r\n${lines.join('')}\r\n`);
  socket.write(body);
  return text(socket);
};

it.each([
  ['/v1/completions', 'gzip', gzipSync(completion)],
  ['/v1/completions', 'deflate', deflateSync(completion)],
  ['/v1/completions', 'GZIP', completion],
  ['/v1/completions', 'identity, br', completion],
  [infer, 'gzip', gzipSync(inference)],
  [infer, 'deflate', deflateSync(inference)],
])('%s refuses a body in %s as what it is', async (path, coding, body) => {
  const answer = await ask(path, { 'content-encoding': coding }, body);
  expect(answer).toMatch(/^HTTP\/1.1 415 /);
  expect(answer).toMatch(/^accept-encoding: identity\r$/im);
  expect(answer).toMatch(/^x-adaptlet-error: BODY_ENCODED\r$/im);
  expect(answer).not.toMatch(/^retry-after:/im);
  const [, json = ''] = answer.split('\r\n\r\n');
  const named = coding.replace('identity, ', '');
  const message = `the content-encoding "${named}" is not read. ${advice}`;
  expect(JSON.parse(json)).toEqual(
    path === infer
      ? { error: message, code: 'body_encoded' }
      : { error: { message, type: 'invalid_request_error', param: null, code: 'body_encoded' } },
  );
});

it('tensors as bytes that are compressed are refused, whatever their header says of the JSON', async () => {
  const fields = { 'inference-header-content-length': '10', 'content-type': 'application/octet-stream' };
  const answer = await ask(infer, { ...fields, 'content-encoding': 'gzip' }, gzipSync(inference));
  expect(answer).toMatch(/^HTTP\/1.1 415 [^]*content-encoding \\"gzip\\" is not read/);
});

it.each(['gzip, chunked', 'gzip,chunked', 'GZIP, chunked'])(
  'a body in the transfer-encoding "%s" is refused as what it is',
  async (coding) => {
    const zipped = gzipSync(completion);
    const chunks = Buffer.concat([
      Buffer.from(`${zipped.length.toString(16)}\r\n`),
      zipped,
      Buffer.from('\r\n0\r\n\r\n'),
    ]);
    const socket = connect(server.port, '127.0.0.1');
    const head = 'host: x\r\nconnection: close\r\ncontent-type: application/json';
    socket.write(`POST /v1/completions HTTP/1.1\r\n${head}\r\ntransfer-encoding: ${coding}\r\n\r\n`);
    socket.write(chunks);
    const named = coding.split(',')[0]!;
    const answer = await text(socket);
    expect(answer).toMatch(/^HTTP\/1.1 415 /);
    expect(answer).toContain(`the transfer-encoding \\"${named}\\" is not read`);
  },
);

it('a name of 8 KiB is cut in the message', async () => {
  const answer = await ask('/v1/completions', { 'content-encoding': 'x'.repeat(8000) }, completion);
  expect(answer).toMatch(/^HTTP\/1.1 415 /);
  expect(answer.length).toBeLessThan(1500);
});

it.each(['identity', 'Identity', '', 'identity, identity'])(
  'the content-encoding "%s" is none',
  async (coding) => {
    for (const [path, body] of [
      ['/v1/completions', completion],
      [infer, inference],
    ] as const)
      expect(await ask(path, { 'content-encoding': coding }, body)).toMatch(/^HTTP\/1.1 200 /);
  },
);

it.each(['gzip', 'gzip, deflate, br, zstd', 'gzip;q=1.0, identity;q=0.1'])(
  'who accepts %s gets the answer as it is',
  async (accepted) => {
    const stream = JSON.stringify({ ...JSON.parse(completion), stream: true });
    for (const [path, body] of [
      ['/v1/completions', completion],
      ['/v1/completions', stream],
      [infer, inference],
    ] as const) {
      const answer = await ask(path, { 'accept-encoding': accepted }, body);
      expect(answer).toMatch(/^HTTP\/1.1 200 /);
      expect(answer).not.toMatch(/^content-encoding:/im);
      expect(answer).toMatch(/"(choices|outputs)":\[/);
    }
  },
);

it('every route that takes a body takes none that is compressed', async () => {
  const { app, post } = startFakeHttp();
  const paths = new Set(app.routes.filter(({ method }) => method === 'POST').map(({ path }) => path));
  expect(paths.size).toBeGreaterThanOrEqual(11);
  for (const path of paths) {
    const to = path.replace('*', 'sql/infer').replace(':rest{.+}', 'sql/load');
    const { status } = await post(to, '{}', { headers: { 'content-encoding': 'gzip' } });
    expect([path, status]).toEqual([path, 415]);
  }
});
