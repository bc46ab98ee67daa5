import { credentials, type Metadata, type ServiceError } from '@grpc/grpc-js';
import { InferenceClient } from '../../../gen/adaptlet/inference/v1/inference.ts';
import { HealthClient } from '../../../gen/grpc/health/v1/health.ts';
import { GRPCInferenceServiceClient } from '../../../gen/inference/grpc_service.ts';
import { startGrpc } from '../grpc/server.ts';
import { type FakeParts, fakeParts } from './parts.ts';

/** The data plane over fakes on a free port, and clients of it. */
export const startFakeGrpc = async (overrides: Parameters<typeof fakeParts>[0] = {}) => {
  const parts: FakeParts = fakeParts(overrides);
  const server = await startGrpc({ ...parts, address: '127.0.0.1:0' });
  const address = `127.0.0.1:${server.port}`;
  const insecure = credentials.createInsecure();
  const oip = new GRPCInferenceServiceClient(address, insecure);
  const inference = new InferenceClient(address, insecure);
  const health = new HealthClient(address, insecure);
  return {
    parts,
    server,
    address,
    oip,
    inference,
    health,
    async [Symbol.asyncDispose]() {
      for (const client of [oip, inference, health]) client.close();
      await server.close(100);
    },
  };
};

type Reply<R> = { readonly response: R; readonly metadata: Metadata };
type Callback<R> = (error: ServiceError | null, response: R) => void;

/** A unary call as a promise of its response and initial metadata. */
export const unaryCall = <R>(
  start: (callback: Callback<R>) => {
    on(event: 'metadata', listener: (metadata: Metadata) => void): unknown;
  },
): Promise<Reply<R>> =>
  new Promise((resolve, reject) => {
    let received: Metadata | undefined;
    const call = start((error, response) => {
      if (error !== null || received === undefined) reject(error ?? new Error('no metadata'));
      else resolve({ response, metadata: received });
    });
    call.on('metadata', (metadata) => {
      received = metadata;
    });
  });
