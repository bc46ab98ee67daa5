import { Metadata, type ServiceError, status } from '@grpc/grpc-js';
import type { AdaptletError } from '../errors/adaptlet-error.ts';

/** Characters of a message that are sent; clients refuse trailers above 8 or 16 kB. */
const maxDetails = 4096;

/** An error as a gRPC server sends it: status, message, and in the trailers its code in the error catalogue, and `more`. */
export const serviceErrorOf = (
  error: AdaptletError,
  more: Readonly<Record<string, string>> = {},
): ServiceError => {
  const metadata = new Metadata();
  metadata.set('x-adaptlet-error', error.code);
  for (const [name, value] of Object.entries(more)) metadata.set(name, value);
  const details = error.message.toWellFormed().slice(0, maxDetails).toWellFormed();
  return Object.assign(new Error(details), { code: status[error.grpcStatus], details, metadata });
};
