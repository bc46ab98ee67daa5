import { Metadata, type ServiceError, status } from '@grpc/grpc-js';
import type { AdaptletError } from '../../../errors/adaptlet-error.ts';
import { retryAfterSeconds, wire } from '../wire.ts';

/** Bytes of a message in trailers; clients refuse trailers above 8 or 16 kB. */
const maxDetails = 4096;

/** An error as gRPC sends it: status, message, and in the trailers its code and when to retry. */
export const toServiceError = (error: AdaptletError): ServiceError => {
  const metadata = new Metadata();
  metadata.set(wire.error, error.code);
  if (error.retryAfterMs !== undefined) metadata.set(wire.retryAfter, retryAfterSeconds(error.retryAfterMs));
  const details = error.message.toWellFormed().slice(0, maxDetails).toWellFormed();
  return Object.assign(new Error(details), { code: status[error.grpcStatus], details, metadata });
};
