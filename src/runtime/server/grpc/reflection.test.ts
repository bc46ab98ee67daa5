import { Client, credentials } from '@grpc/grpc-js';
import { expect, it } from 'vitest';
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
