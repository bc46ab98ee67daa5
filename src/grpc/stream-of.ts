import type { ServerHttp2Stream } from 'node:http2';
import type { ServerInterceptingCallInterface } from '@grpc/grpc-js';
import { AdaptletError } from '../errors/adaptlet-error.ts';

/**
 * The stream of a call, for what grpc-js has no options for: it shows the stream to nobody. `bound-requests.test.ts` and `bounds.test.ts`
 * say when it is no longer there.
 * @throws INTERNAL when it is not there
 */
export const streamOf = (call: ServerInterceptingCallInterface): ServerHttp2Stream => {
  const { stream } = call as unknown as { readonly stream?: ServerHttp2Stream };
  if (stream === undefined) throw new AdaptletError('INTERNAL', 'grpc-js has no stream for a call');
  return stream;
};
