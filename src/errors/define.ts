/** What a caller may do about an error: never retry, retry later with backoff, or retry once something was changed. */
export type RetryClass = 'Never' | 'Backoff' | 'AfterChange';

/** The gRPC status names that Adaptlet answers with (https://grpc.io/docs/guides/status-codes/). */
export type GrpcStatusName =
  | 'CANCELLED'
  | 'INVALID_ARGUMENT'
  | 'DEADLINE_EXCEEDED'
  | 'NOT_FOUND'
  | 'ALREADY_EXISTS'
  | 'PERMISSION_DENIED'
  | 'RESOURCE_EXHAUSTED'
  | 'FAILED_PRECONDITION'
  | 'ABORTED'
  | 'UNIMPLEMENTED'
  | 'INTERNAL'
  | 'UNAVAILABLE'
  | 'DATA_LOSS'
  | 'UNAUTHENTICATED';

/** One entry of the error catalogue. `summary` says what the code means, `advice` what the reader should do. */
export type ErrorSpec = {
  readonly summary: string;
  readonly advice: string;
  readonly grpc: GrpcStatusName;
  readonly retry: RetryClass;
};

/** Keeps the literal keys of a catalogue part, so that codes are a union type. */
export const defineErrors = <const T extends Readonly<Record<string, ErrorSpec>>>(part: T): T => part;
