import { Server, ServerCredentials, type ServerOptions } from '@grpc/grpc-js';
import { InferenceService } from '../../../gen/adaptlet/inference/v1/inference.ts';
import { dataDescriptors } from '../../../gen/descriptors.ts';
import { HealthService } from '../../../gen/grpc/health/v1/health.ts';
import { GRPCInferenceServiceService } from '../../../gen/inference/grpc_service.ts';
import { closeServer, logGrpc } from '../../../grpc/server.ts';
import type { Log } from '../../../telemetry/log.ts';
import type { Admin } from '../../admin/admin.ts';
import type { Parts } from '../exchange.ts';
import { Penalties } from '../penalties.ts';
import type { CertificateFiles } from '../tls/certificate-files.ts';
import { grpcCredentials } from '../tls/grpc-credentials.ts';
import { boundCalls } from './bounds.ts';
import { inferenceService } from './generate.ts';
import { createHealth } from './health.ts';
import { LeftCalls } from './left-calls.ts';
import { endForWaste, listenWithin, maxStreams } from './listen.ts';
import { oipService } from './oip.ts';
import { addReflection } from './reflection.ts';
import { Waste } from './waste.ts';

/** Bytes of one message. A prompt that fills any context fits many times over. */
const maxMessageBytes = 4 << 20;

const serverOptions: ServerOptions = {
  'grpc.max_receive_message_length': maxMessageBytes,
  'grpc.max_send_message_length': 64 << 20,
  'grpc.max_concurrent_streams': maxStreams,
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
  readonly admin: Admin;
  /** `host:port`, port 0 for any free one. IPv6 hosts in brackets. */
  readonly address: string;
  readonly version: string;
  /** Absent: no TLS. */
  readonly tls?: CertificateFiles | undefined;
};

export const createServer = (log: Log, more: ServerOptions = {}): Server => {
  logGrpc(log);
  return new Server({ ...serverOptions, ...more });
};

/** The data plane on gRPC: Open Inference Protocol, Generate, health, reflection. */
export const startGrpc = async (options: GrpcOptions): Promise<RunningServer> => {
  const { idleMs, maxConnections } = options.limits;
  const penalties = new Penalties(options, 'grpc');
  const leftCalls = new LeftCalls(options.clock, penalties);
  const waste = new Waste(options.clock, endForWaste(options, penalties));
  const server = createServer(options.log, {
    'grpc.max_connection_idle_ms': idleMs,
    interceptors: [boundCalls(options, waste, leftCalls)],
  });
  const services = ['inference.GRPCInferenceService', 'adaptlet.inference.v1.Inference'];
  const health = createHealth(options, services, () => options.serving.ready().ok);
  server.addService(GRPCInferenceServiceService, oipService(options));
  server.addService(InferenceService, inferenceService(options));
  server.addService(HealthService, health.service);
  addReflection(server, dataDescriptors, options);
  const credentials =
    options.tls === undefined ? ServerCredentials.createInsecure() : grpcCredentials(options.tls);
  const listening = await listenWithin(server, {
    address: options.address,
    credentials,
    most: maxConnections,
    clock: options.clock,
    penalties,
    leftCalls,
    waste,
    telemetry: options.telemetry,
  });
  return {
    port: listening.port,
    async close(graceMs) {
      health.close();
      penalties.close();
      await Promise.all([closeServer(server, options.clock, graceMs), listening.end(graceMs)]);
    },
  };
};
