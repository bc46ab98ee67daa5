import { constants, type IncomingHttpHeaders, type ServerHttp2Stream } from 'node:http2';
import { status } from '@grpc/grpc-js';
import { AdaptletError } from '../errors/adaptlet-error.ts';
import { quoteUntrusted } from '../errors/quote-untrusted.ts';
import { serviceErrorOf } from './service-error.ts';

/** What is read, and thrown away, of a call that was refused; and for how many milliseconds nothing of it may come. */
const [mostBytes, mostMs] = [1 << 20, 5000];

/**
 * Reads the rest of a call. A reset has its client reset the stream as well, if it has more to send, and of a thousand resets nghttp2 ends the
 * connection, on which may be others.
 */
const drain = (stream: ServerHttp2Stream): void => {
  const end = (): void => stream.close(constants.NGHTTP2_NO_ERROR);
  let bytes = 0;
  stream.on('data', (chunk: Buffer) => {
    bytes += chunk.length;
    if (bytes > mostBytes) end();
  });
  stream.setTimeout(mostMs, end);
};

/**
 * Ends a call that would send compressed messages; false: it sends none. A few KiB of one may become as many MiB, which no bound counts:
 * grpc-js decompresses a message before an interceptor hears of it.
 */
export const refusesCompressed = (stream: ServerHttp2Stream, headers: IncomingHttpHeaders): boolean => {
  const { 'grpc-encoding': coding } = headers;
  if (coding === undefined || coding === 'identity') return false;
  const { details, metadata } = serviceErrorOf(
    new AdaptletError('BODY_ENCODED', `the grpc-encoding ${quoteUntrusted(String(coding))} is not read`, {
      advice: 'Make the call without compression.',
    }),
  );
  stream.respond(
    {
      ...metadata.toHttp2Headers(),
      'content-type': 'application/grpc',
      // As gRPC says of an encoding that a server does not take.
      'grpc-accept-encoding': 'identity',
      'grpc-status': status.UNIMPLEMENTED,
      'grpc-message': encodeURI(details),
    },
    { endStream: true },
  );
  drain(stream);
  return true;
};
