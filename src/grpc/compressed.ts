import { constants, type IncomingHttpHeaders, type ServerHttp2Stream } from 'node:http2';
import { status } from '@grpc/grpc-js';
import { AdaptletError } from '../errors/adaptlet-error.ts';
import { quoteUntrusted } from '../errors/quote-untrusted.ts';
import type { Clock } from '../time/clock.ts';
import { serviceErrorOf } from './service-error.ts';

/** What is read, and thrown away, of a call that was refused, and for how many milliseconds. */
const [mostBytes, mostMs] = [64 << 10, 5000];

/** Who is told of calls that are refused. */
export type OfCompressed = {
  /** A call is refused. */
  readonly refused: (error: AdaptletError) => void;
  /** So many bytes came of one that was. */
  readonly wasted: (stream: ServerHttp2Stream, bytes: number) => void;
};

/** What a refusal needs. */
export type Refusing = {
  readonly clock: Pick<Clock, 'after'>;
  readonly told: OfCompressed | undefined;
};

/**
 * Reads the rest of a call, which is mostly there. A reset has its client reset the stream as well, if it has more to send, and of a thousand
 * resets nghttp2 ends the connection, on which may be others.
 */
const drain = (stream: ServerHttp2Stream, { clock, told }: Refusing): void => {
  const end = (): void => stream.close(constants.NGHTTP2_NO_ERROR);
  let bytes = 0;
  stream.on('data', (chunk: Buffer) => {
    told?.wasted(stream, chunk.length);
    bytes += chunk.length;
    if (bytes > mostBytes) end();
  });
  stream.once('close', clock.after(mostMs, end));
};

/**
 * Ends a call that would send compressed messages; false: it sends none. A few KiB of one may become as many MiB, which no bound counts:
 * grpc-js decompresses a message before an interceptor hears of it.
 */
export const refusesCompressed = (
  stream: ServerHttp2Stream,
  headers: IncomingHttpHeaders,
  refusing: Refusing,
): boolean => {
  const { 'grpc-encoding': coding } = headers;
  if (coding === undefined || coding === 'identity') return false;
  const what = `the grpc-encoding ${quoteUntrusted(String(coding))} is not read`;
  const error = new AdaptletError('BODY_ENCODED', what);
  refusing.told?.refused(error);
  const { details, metadata } = serviceErrorOf(error);
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
  drain(stream, refusing);
  return true;
};
