import { catalogue, type ErrorCode } from './catalogue.ts';
import type { GrpcStatusName, RetryClass } from './define.ts';

/** HTTP status of each gRPC status, as google.rpc.Code defines the mapping; 503 where a retry can succeed. */
const httpStatusOf: Record<GrpcStatusName, number> = {
  CANCELLED: 499,
  INVALID_ARGUMENT: 400,
  DEADLINE_EXCEEDED: 504,
  NOT_FOUND: 404,
  ALREADY_EXISTS: 409,
  PERMISSION_DENIED: 403,
  RESOURCE_EXHAUSTED: 429,
  FAILED_PRECONDITION: 503,
  ABORTED: 409,
  UNIMPLEMENTED: 501,
  INTERNAL: 500,
  UNAVAILABLE: 503,
  DATA_LOSS: 500,
  UNAUTHENTICATED: 401,
};

export type ErrorOptions = {
  readonly cause?: unknown;
  readonly retryAfterMs?: number;
  /** What to do about this cause, where the catalogue's advice for the code does not fit it. */
  readonly advice?: string;
  /** Path of the field of the request that it is about, such as `messages.0.name`; '' for the request itself. */
  readonly param?: string;
};

/**
 * The one error class of Adaptlet. `what` says what happened and where, `advice` what to do: the catalogue's, unless who
 * throws it knows better. `message` is both, ready for a person.
 */
export class AdaptletError extends Error {
  override readonly name = 'AdaptletError';
  readonly code: ErrorCode;
  /** What happened and where, without the advice. */
  readonly what: string;
  /** What to do. */
  readonly advice: string;
  /** Hint for the caller in milliseconds, sent as retry-after. */
  readonly retryAfterMs: number | undefined;
  /** As of {@link ErrorOptions}; undefined where no field is known. */
  readonly param: string | undefined;

  constructor(code: ErrorCode, what: string, options: ErrorOptions = {}) {
    const trimmed = what.replace(/[.\s]+$/, '');
    const { advice = catalogue[code].advice } = options;
    super(`${trimmed}. ${advice}`, options.cause === undefined ? {} : { cause: options.cause });
    this.code = code;
    this.what = trimmed;
    this.advice = advice;
    this.retryAfterMs = options.retryAfterMs;
    this.param = options.param;
  }

  get retry(): RetryClass {
    return catalogue[this.code].retry;
  }
  get grpcStatus(): GrpcStatusName {
    return catalogue[this.code].grpc;
  }
  get httpStatus(): number {
    return httpStatusOf[this.grpcStatus];
  }
}

/** The error itself when it is ours, else wrapped as INTERNAL with its cause kept. */
export const asAdaptletError = (error: unknown, where: string): AdaptletError =>
  error instanceof AdaptletError
    ? error
    : new AdaptletError('INTERNAL', `${where}: ${error instanceof Error ? error.message : String(error)}`, {
        cause: error,
      });

/** The code of an error of ours; '' of any other. */
export const errorCodeOf = (error: unknown): ErrorCode | '' =>
  error instanceof AdaptletError ? error.code : '';
