import {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  connect,
  constants,
  type Settings,
} from 'node:http2';

/** A message of gRPC of which `sent` of `bytes` bytes are there. */
export const messageOf = (bytes: number, sent = bytes): Buffer => {
  const message = Buffer.alloc(5 + sent);
  message.writeUInt32BE(bytes, 1);
  return message;
};

/**
 * A connection of a client that is no client of gRPC. Node counts what a client has not sent of a stream that its server reset against the
 * memory of the session for good, and behind 10 MB of it no new stream gets an answer. So there is no bound, as in grpc-js.
 */
export const rawSession = (address: string, settings: Settings = {}): ClientHttp2Session =>
  connect(`http://${address}`, { settings, maxSessionMemory: Number.MAX_SAFE_INTEGER }).on(
    'error',
    () => undefined,
  );

/** A call that leaves its side open. */
export const rawCall = (
  session: ClientHttp2Session,
  path: string,
  more: Readonly<Record<string, string>> = {},
): ClientHttp2Stream => {
  const stream = session.request({
    [constants.HTTP2_HEADER_METHOD]: 'POST',
    [constants.HTTP2_HEADER_PATH]: path,
    [constants.HTTP2_HEADER_CONTENT_TYPE]: 'application/grpc',
    te: 'trailers',
    ...more,
  });
  return stream.on('error', () => undefined).resume();
};

/** How a call ended: its status, undefined where none came, and the code with which its stream was closed. */
export const endOf = (stream: ClientHttp2Stream): Promise<{ status: unknown; code: number | undefined }> =>
  new Promise((resolve) => {
    let status: unknown;
    const read = (headers: Readonly<Record<string, unknown>>): void => {
      status ??= headers['grpc-status'];
    };
    stream.on('response', read).on('trailers', read);
    stream.once('close', () => resolve({ status, code: stream.rstCode }));
  });
