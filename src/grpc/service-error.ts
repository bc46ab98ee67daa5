import { Metadata, type ServiceError, status } from '@grpc/grpc-js';
import type { AdaptletError } from '../errors/adaptlet-error.ts';
import { RetryInfo } from '../gen/google/rpc/error_details.ts';
import { Status } from '../gen/google/rpc/status.ts';

/** Characters of a message that are sent; clients refuse trailers above 8 or 16 kB. */
const maxDetails = 4096;

/** Of it in the details, where it stands a second time. */
const maxRepeated = 512;

/**
 * When to come again, as clients of gRPC's richer error model read it: google.rpc.RetryInfo in google.rpc.Status
 * (https://grpc.io/docs/guides/error/).
 */
const retryDetails = (code: number, message: string, retryAfterMs: number): Buffer => {
  const seconds = Math.floor(retryAfterMs / 1000);
  const nanos = Math.round((retryAfterMs - 1000 * seconds) * 1e6);
  const value = RetryInfo.encode({ retryDelay: { seconds: BigInt(seconds), nanos } }).finish();
  const details = [{ typeUrl: 'type.googleapis.com/google.rpc.RetryInfo', value: Buffer.from(value) }];
  return Buffer.from(Status.encode({ code, message, details }).finish());
};

/**
 * An error as a gRPC server sends it: status, message, and in the trailers its code in the error catalogue, when to come again where
 * that is known, and `more`.
 */
export const serviceErrorOf = (
  error: AdaptletError,
  more: Readonly<Record<string, string>> = {},
  retryAfterMs = error.retryAfterMs,
): ServiceError => {
  const metadata = new Metadata();
  metadata.set('x-adaptlet-error', error.code);
  for (const [name, value] of Object.entries(more)) metadata.set(name, value);
  const details = error.message.toWellFormed().slice(0, maxDetails).toWellFormed();
  const code = status[error.grpcStatus];
  if (retryAfterMs !== undefined) {
    const message = details.slice(0, maxRepeated).toWellFormed();
    metadata.set('grpc-status-details-bin', retryDetails(code, message, retryAfterMs));
  }
  return Object.assign(new Error(details), { code, details, metadata });
};
