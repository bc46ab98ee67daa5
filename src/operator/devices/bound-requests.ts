import { ServerInterceptingCall, type ServerInterceptor } from '@grpc/grpc-js';
import { AdaptletError } from '../../errors/adaptlet-error.ts';
import { serviceErrorOf } from '../../grpc/service-error.ts';
import { streamOf } from '../../grpc/stream-of.ts';

/** Bytes of a request, with room for a certificate and whatever comes to it. */
const mostBytes = 64 << 10;

/**
 * Ends calls of a single message that is longer, and those with more than one message, as soon as that is seen: a stranger sends it, and
 * nobody looks at it before it is whole. grpc-js has one limit for all methods of a server, among which are the reports of runtimes.
 */
export const boundRequests: ServerInterceptor = (method, call) => {
  if (method.requestStream) return new ServerInterceptingCall(call);
  const stream = streamOf(call);
  /** A flag, and the length of the message. */
  const head = Buffer.alloc(5);
  let bytes = 0;
  const refusal = (): string | undefined => {
    if (bytes > mostBytes) return `it has more than ${mostBytes} bytes`;
    // Not before the head is whole.
    return bytes > head.length + head.readUInt32BE(1) ? 'it has more than one message' : undefined;
  };
  const onData = (chunk: Buffer): void => {
    chunk.copy(head, Math.min(bytes, head.length));
    bytes += chunk.length;
    const why = refusal();
    if (why === undefined) return;
    stream.off('data', onData);
    const { code, details, metadata } = serviceErrorOf(
      new AdaptletError('ENROLMENT_INVALID', `the request is not read: ${why}`),
    );
    call.sendStatus({ code, details, metadata });
  };
  return new ServerInterceptingCall(call, {
    start: (next) =>
      next({
        onReceiveMetadata: (metadata, pass) => {
          // Before grpc-js, which keeps what comes.
          stream.prependListener('data', onData);
          pass(metadata);
        },
      }),
  });
};
