import { BinaryReader } from '@bufbuild/protobuf/wire';
import type {
  handleBidiStreamingCall,
  Server,
  ServerDuplexStream,
  ServerInterceptingCallInterface,
  ServiceDefinition,
} from '@grpc/grpc-js';
import { ReflectionService } from '@grpc/reflection';
import { AdaptletError } from '../../../errors/adaptlet-error.ts';
import type { Clock } from '../../../time/clock.ts';
import { toServiceError } from './call.ts';

/** The files of a google.protobuf.FileDescriptorSet: its field 1, each a FileDescriptorProto. */
const filesOf = (set: Uint8Array): Buffer[] => {
  const reader = new BinaryReader(set);
  const files: Buffer[] = [];
  while (reader.pos < reader.len) {
    const [field, wireType] = reader.tag();
    if (field === 1) files.push(Buffer.from(reader.bytes()));
    else reader.skip(wireType);
  }
  return files;
};

export type ReflectionBounds = {
  readonly clock: Pick<Clock, 'after'>;
  /** Milliseconds for which a caller may read nothing of what it is answered. */
  readonly slowClientMs: number;
};

type Handler = handleBidiStreamingCall<unknown, unknown>;

/**
 * What sends a status past the answers that nobody reads: an error of the call waits behind them. grpc-js shows it to nobody; a test says
 * when it is gone.
 */
const innerOf = (call: ServerDuplexStream<unknown, unknown>): ServerInterceptingCallInterface =>
  (call as unknown as { readonly call: ServerInterceptingCallInterface }).call;

/** The library answers each message as it comes, whether anybody reads the answers or not: a stream that is not read is asked for no more, and ends. */
const asRead =
  (handler: Handler, { clock, slowClientMs }: ReflectionBounds): Handler =>
  (call) => {
    let stopTimer: (() => void) | undefined;
    const onData = (): void => {
      if (!call.writableNeedDrain) return;
      call.pause();
      stopTimer?.();
      stopTimer = clock.after(slowClientMs, () => {
        const what = `reflection waited ${slowClientMs} ms for its reader`;
        const { code, details, metadata } = toServiceError(new AdaptletError('CLIENT_TOO_SLOW', what));
        innerOf(call).sendStatus({ code, details, metadata });
      });
    };
    const onDrain = (): void => {
      stopTimer?.();
      call.resume();
    };
    handler(call);
    call.on('data', onData).on('drain', onDrain);
    for (const end of ['cancelled', 'close']) call.on(end, () => stopTimer?.());
  };

/** Adds gRPC reflection (v1 and v1alpha). `descriptors`: a FileDescriptorSet in base64, from src/gen/descriptors.ts. */
export const addReflection = (server: Server, descriptors: string, bounds: ReflectionBounds): void => {
  // The library wants proto-loader's package definition but reads nothing of it except these bytes.
  const files = {
    format: 'Protocol Buffer 3 DescriptorProto',
    type: {},
    fileDescriptorProtos: filesOf(Buffer.from(descriptors, 'base64')),
  };
  const addService = (service: ServiceDefinition, handlers: Record<string, Handler>): void =>
    server.addService(
      service,
      Object.fromEntries(Object.entries(handlers).map(([name, one]) => [name, asRead(one, bounds)])),
    );
  const reflection = new ReflectionService({ files } as unknown as ConstructorParameters<
    typeof ReflectionService
  >[0]);
  // All that it asks of a server.
  reflection.addToServer({ addService });
};
