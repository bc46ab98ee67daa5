import { Server, ServerCredentials, type ServerOptions, setLogger } from '@grpc/grpc-js';
import { AdaptletError } from '../../../errors/adaptlet-error.ts';
import { InferenceService } from '../../../gen/adaptlet/inference/v1/inference.ts';
import { dataDescriptors } from '../../../gen/descriptors.ts';
import { HealthService } from '../../../gen/grpc/health/v1/health.ts';
import { GRPCInferenceServiceService } from '../../../gen/inference/grpc_service.ts';
import type { Clock } from '../../../time/clock.ts';
import type { Log } from '../../log.ts';
import type { Steering } from '../../serving/serving.ts';
import type { Parts } from '../exchange.ts';
import { inferenceService } from './generate.ts';
import { createHealth } from './health.ts';
import { oipService } from './oip/service.ts';
import { addReflection } from './reflection.ts';

/** Bytes of one message. A prompt that fills any context fits many times over. */
const maxMessageBytes = 4 << 20;

const serverOptions: ServerOptions = {
  'grpc.max_receive_message_length': maxMessageBytes,
  'grpc.max_send_message_length': 64 << 20,
  'grpc.max_concurrent_streams': 1024,
  // A peer that vanished without a word (a board that lost power) is noticed within 50 seconds.
  'grpc.keepalive_time_ms': 30_000,
  'grpc.keepalive_timeout_ms': 20_000,
  // Not without channelz: grpc-js knows its connections only by it, and forceShutdown would cut none.
};

export type RunningServer = {
  /** The TCP port, or 0 on a unix socket. */
  readonly port: number;
  /** Ends new requests at once, waits for those under way for at most `graceMs`, then cuts them. */
  close(graceMs: number): Promise<void>;
};

export type GrpcOptions = Parts & {
  readonly steering: Steering;
  /** `host:port`, port 0 for any free one, or `unix:/path`. */
  readonly address: string;
  readonly version: string;
};

const detail = (...parts: unknown[]): object => ({ detail: parts.map(String).join(' ') });

export const createServer = (log: Log): Server => {
  // grpc-js writes plain text to stderr otherwise, between the JSON lines of the log.
  setLogger({
    error: (...parts) => log.warn(detail(...parts), 'grpc'),
    info: (...parts) => log.debug(detail(...parts), 'grpc'),
    debug: (...parts) => log.debug(detail(...parts), 'grpc'),
  });
  return new Server(serverOptions);
};

/** Errors: CONFIG_INVALID when the address cannot be listened on. */
export const listen = (server: Server, address: string): Promise<number> =>
  new Promise((resolve, reject) => {
    server.bindAsync(address, ServerCredentials.createInsecure(), (error, port) => {
      // On a unix socket grpc-js reports 1.
      if (error === null) resolve(address.startsWith('unix:') ? 0 : port);
      else
        reject(
          new AdaptletError('CONFIG_INVALID', `cannot listen on ${address}: ${error.message}`, {
            cause: error,
          }),
        );
    });
  });

export const closeServer = (server: Server, clock: Clock, graceMs: number): Promise<void> =>
  new Promise((resolve) => {
    const stopTimer = clock.after(graceMs, () => {
      server.forceShutdown();
      // grpc-js goes on waiting for connections that never became HTTP/2: whoever opened them decides when they end.
      resolve();
    });
    server.tryShutdown(() => {
      stopTimer();
      resolve();
    });
  });

/** The data plane on gRPC: Open Inference Protocol, Generate, health, reflection. */
export const startGrpc = async (options: GrpcOptions): Promise<RunningServer> => {
  const server = createServer(options.log);
  const services = ['inference.GRPCInferenceService', 'adaptlet.inference.v1.Inference'];
  const health = createHealth(options, services, () => options.serving.ready().ok);
  server.addService(GRPCInferenceServiceService, oipService(options));
  server.addService(InferenceService, inferenceService(options));
  server.addService(HealthService, health.service);
  addReflection(server, dataDescriptors);
  const port = await listen(server, options.address);
  return {
    port,
    async close(graceMs) {
      health.close();
      await closeServer(server, options.clock, graceMs);
    },
  };
};
