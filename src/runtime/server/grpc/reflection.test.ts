import { connect } from 'node:http2';
import { Client, credentials } from '@grpc/grpc-js';
import { expect, it, vi } from 'vitest';
import { startFakeGrpc } from '../testing/grpc-client.ts';

const same = (bytes: Buffer): Buffer => bytes;

/** ServerReflectionRequest{list_services: "*"} and the bytes of the answer as text. */
const listServices = async (address: string, version: 'v1' | 'v1alpha'): Promise<string> => {
  const client = new Client(address, credentials.createInsecure());
  const path = `/grpc.reflection.${version}.ServerReflection/ServerReflectionInfo`;
  const stream = client.makeBidiStreamRequest(path, same, same);
  try {
    stream.write(Buffer.from([0x3a, 1, 0x2a]));
    stream.end();
    const parts: Buffer[] = [];
    for await (const part of stream) parts.push(part as Buffer);
    return Buffer.concat(parts).toString('latin1');
  } finally {
    client.close();
  }
};

it.each(['v1', 'v1alpha'] as const)(
  'reflection %s tells the services of the data port and not Admin',
  async (version) => {
    await using fake = await startFakeGrpc();
    const answer = await listServices(fake.address, version);
    expect(answer).toContain('inference.GRPCInferenceService');
    expect(answer).toContain('adaptlet.inference.v1.Inference');
    expect(answer).toContain('grpc.health.v1.Health');
    expect(answer).not.toContain('Admin');
  },
);

it('a caller that reads nothing of what it is answered is asked for no more, and its stream ends', async () => {
  await using fake = await startFakeGrpc({ slowClientMs: 200 });
  const session = connect(`http://${fake.address}`, { settings: { initialWindowSize: 0 } });
  session.on('error', () => undefined);
  const stream = session.request({
    ':method': 'POST',
    ':path': '/grpc.reflection.v1.ServerReflection/ServerReflectionInfo',
    'content-type': 'application/grpc',
    te: 'trailers',
  });
  let isOver = false;
  stream.on('error', () => undefined).on('close', () => (isOver = true));
  const message = Buffer.from([0, 0, 0, 0, 3, 0x3a, 1, 0x2a]);
  const many = Buffer.concat(Array.from({ length: 40_000 }, () => message));
  let isTaken = false;
  stream.write(many, (error) => (isTaken = error === null || error === undefined));
  await vi.waitFor(() => expect(isOver).toBe(true), 20_000);
  expect(isTaken).toBe(false);
  session.destroy();
});
