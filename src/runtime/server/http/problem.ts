import type { AdaptletError } from '../../../errors/adaptlet-error.ts';
import { FieldError } from '../fields/field-error.ts';
import { retryAfterSeconds, wire } from '../wire.ts';

/** OpenAI's error body. */
export type ProblemBody = {
  readonly error: {
    readonly message: string;
    readonly type: string;
    readonly param: string | null;
    readonly code: string;
  };
};

const typeOf = (status: number): string => {
  if (status === 401) return 'authentication_error';
  if (status === 403) return 'permission_error';
  if (status === 429) return 'rate_limit_error';
  return status < 500 ? 'invalid_request_error' : 'server_error';
};

/** HTTP has a status of its own for a body that is too large. */
const httpStatusOf = (error: AdaptletError): number =>
  error.code === 'REQUEST_TOO_LARGE' ? 413 : error.httpStatus;

export const problemBody = (error: AdaptletError): ProblemBody => ({
  error: {
    message: error.message,
    type: typeOf(httpStatusOf(error)),
    param: error instanceof FieldError ? error.param : null,
    code: error.code.toLowerCase(),
  },
});

export const problemResponse = (error: AdaptletError): Response => {
  const headers = new Headers({ [wire.error]: error.code });
  if (error.retryAfterMs !== undefined) headers.set(wire.retryAfter, retryAfterSeconds(error.retryAfterMs));
  // RFC 9110, section 11.6.1.
  if (error.code === 'UNAUTHENTICATED') headers.set('www-authenticate', 'Bearer');
  return Response.json(problemBody(error), { status: httpStatusOf(error), headers });
};
