import type { AdaptletError } from '../../../errors/adaptlet-error.ts';
import type { ErrorCode } from '../../../errors/catalogue.ts';
import { retryAfterOf, wire } from '../wire.ts';

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

/** Statuses of HTTP for what gRPC has none for: a body that is too large, one that does not come in time, and one that is compressed. */
const ownStatuses: Partial<Record<ErrorCode, number>> = {
  REQUEST_TOO_LARGE: 413,
  CLIENT_TOO_SLOW: 408,
  BODY_ENCODED: 415,
};

/** Codes of OpenAI's by which its clients tell what to do. */
const openaiCodes: Partial<Record<ErrorCode, string>> = { PROMPT_TOO_LONG: 'context_length_exceeded' };

const httpStatusOf = ({ code, httpStatus }: AdaptletError): number => ownStatuses[code] ?? httpStatus;

export const problemBody = (error: AdaptletError): ProblemBody => ({
  error: {
    message: error.message,
    type: typeOf(httpStatusOf(error)),
    param: error.param ?? null,
    code: openaiCodes[error.code] ?? error.code.toLowerCase(),
  },
});

const failureResponse = (error: AdaptletError, body: object): Response => {
  const headers = new Headers({ [wire.error]: error.code });
  const retryAfter = retryAfterOf(error);
  if (retryAfter !== undefined) headers.set(wire.retryAfter, retryAfter);
  // RFC 9110, section 11.6.1.
  if (error.code === 'UNAUTHENTICATED') headers.set('www-authenticate', 'Bearer');
  // The same, section 12.5.3.
  if (error.code === 'BODY_ENCODED') headers.set('accept-encoding', 'identity');
  return Response.json(body, { status: httpStatusOf(error), headers });
};

/** A failure as OpenAI's API tells it. */
export const problemResponse = (error: AdaptletError): Response => failureResponse(error, problemBody(error));

/** A failure as the Open Inference Protocol tells it: clients show `error`. */
export const oipProblemResponse = (error: AdaptletError): Response =>
  failureResponse(error, { error: error.message, code: error.code.toLowerCase() });
