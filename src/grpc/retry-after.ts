import type { Metadata } from '@grpc/grpc-js';
import { RetryInfo } from '../gen/google/rpc/error_details.ts';
import { Status } from '../gen/google/rpc/status.ts';

const typeUrl = 'type.googleapis.com/google.rpc.RetryInfo';

/**
 * When a server wants to be asked again, in milliseconds, as `serviceErrorOf` and other servers of gRPC's richer error model say it;
 * undefined: it does not say, or nothing that can be read.
 */
export const retryAfterMsOf = (trailers: Metadata): number | undefined => {
  const [bytes] = trailers.get('grpc-status-details-bin');
  if (!(bytes instanceof Uint8Array)) return undefined;
  try {
    const found = Status.decode(bytes).details.find((detail) => detail.typeUrl === typeUrl);
    const delay = found && RetryInfo.decode(found.value).retryDelay;
    if (delay === undefined) return undefined;
    const ms = Number(delay.seconds) * 1000 + delay.nanos / 1e6;
    return ms > 0 ? ms : undefined;
  } catch {
    // Bytes of a proxy or a newer server: as if nothing was said.
    return undefined;
  }
};
