import { Metadata, type ServiceError, status } from '@grpc/grpc-js';
import type { AdaptletError } from '../../errors/adaptlet-error.ts';

/** Trailer with the code of the error catalogue. */
export const errorHeader = 'x-adaptlet-error';

/** Clients refuse trailers above 8 kB. */
const maxDetails = 2048;

/** How a stream ends with an error: status, message, and the code in the trailers. */
export const toStreamError = (error: AdaptletError): ServiceError => {
  const metadata = new Metadata();
  metadata.set(errorHeader, error.code);
  const details = error.message.toWellFormed().slice(0, maxDetails).toWellFormed();
  return Object.assign(new Error(details), { code: status[error.grpcStatus], details, metadata });
};
