import { ServerInterceptingCall, type ServerInterceptor } from '@grpc/grpc-js';
import { AdaptletError } from '../../errors/adaptlet-error.ts';
import { serviceErrorOf } from '../../grpc/service-error.ts';
import { streamOf } from '../../grpc/stream-of.ts';

/** Bytes of a request, with room for a certificate and whatever comes to it. */
const mostBytes = 64 << 10;

/**
 * Ends calls of a single message that is longer or compressed, as soon as that is seen: a stranger sends it, and nobody looks at it
 * before it is whole. grpc-js has one limit for all methods of a server, among which are the reports of runtimes.
 */
export const boundRequests: ServerInterceptor = (method, call) => {
  if (method.requestStream) return new ServerInterceptingCall(call);
  const stream = streamOf(call);
  let bytes = 0;
  const onData = (chunk: Buffer): void => {
    // It begins with a flag. What a compressed one becomes is known to nobody.
    const isCompressed = bytes === 0 && chunk[0] !== 0;
    bytes += chunk.length;
    if (bytes <= mostBytes && !isCompressed) return;
    stream.off('data', onData);
    const why = isCompressed ? 'it is compressed' : `it has more than ${mostBytes} bytes`;
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
