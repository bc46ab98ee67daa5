import {
  type handleUnaryCall,
  Metadata,
  type ServerUnaryCall,
  type ServerWritableStream,
  type ServiceError,
  type sendUnaryData,
} from '@grpc/grpc-js';
import { AdaptletError, asAdaptletError } from '../../../errors/adaptlet-error.ts';
import { serviceErrorOf } from '../../../grpc/service-error.ts';
import type { Log } from '../../../telemetry/log.ts';
import type { Clock } from '../../../time/clock.ts';
import type { ServedBy } from '../../routing/request.ts';
import { type Headers, readHeaders } from '../context.ts';
import { Exchange, type Parts } from '../exchange.ts';
import { retryAfterSeconds, servedHeaders, wire } from '../wire.ts';

/** An error as gRPC sends it: status, message, and in the trailers its code and when to retry. */
export const toServiceError = (error: AdaptletError): ServiceError =>
  serviceErrorOf(
    error,
    error.retryAfterMs === undefined ? {} : { [wire.retryAfter]: retryAfterSeconds(error.retryAfterMs) },
  );

type AnyCall = ServerUnaryCall<unknown, unknown> | ServerWritableStream<unknown, unknown>;

/** Text metadata of a call. Binary values (`-bin`) are left out: nothing routes by them. */
export const headersOf = (metadata: Metadata): Headers =>
  readHeaders(
    Object.keys(metadata.getMap()).flatMap((key) =>
      metadata.get(key).flatMap((value) => (typeof value === 'string' ? [[key, value] as const] : [])),
    ),
  );

/** Milliseconds until the deadline that the client gave, or undefined. */
const timeLeft = (call: AnyCall, clock: Clock): number | undefined => {
  const deadline = call.getDeadline();
  const at = typeof deadline === 'number' ? deadline : deadline.getTime();
  return Number.isFinite(at) ? at - clock.now() : undefined;
};

/**
 * A client that gives up at its deadline cancels the call, and that may arrive shortly before the deadline passes here:
 * the network decides. So much of the time that the client gave still counts as its deadline.
 */
const deadlineMargin = (timeoutMs: number): number => Math.min(250, timeoutMs / 4);

/** grpc-js says `cancelled` when the client leaves and when its deadline passes: the time that is left tells which. */
const onCancelled = (
  call: AnyCall,
  clock: Clock,
  ended: (reason: AdaptletError) => void,
  method: string,
): void => {
  const timeoutMs = timeLeft(call, clock);
  call.on('cancelled', () => {
    const left = timeLeft(call, clock);
    const isLate = timeoutMs !== undefined && left !== undefined && left <= deadlineMargin(timeoutMs);
    ended(
      isLate
        ? new AdaptletError('DEADLINE_EXCEEDED', `${method} was not answered within its deadline`)
        : new AdaptletError('REQUEST_CANCELLED', `the caller of ${method} went away`),
    );
  });
};

/**
 * An exchange that ends with its call.
 * @throws REQUEST_INVALID for headers over their limits
 */
export const exchangeOf = (parts: Parts, call: AnyCall, method: string): Exchange => {
  const headers = headersOf(call.metadata);
  const timeoutMs = timeLeft(call, parts.clock);
  const exchange = new Exchange(parts, { protocol: 'grpc', method, headers, timeoutMs });
  onCancelled(call, parts.clock, (reason) => exchange.abort(reason), method);
  return exchange;
};

export const servedMetadata = (id: string, served: ServedBy): Metadata => {
  const metadata = new Metadata();
  for (const [key, value] of servedHeaders(id, served)) metadata.set(key, value);
  return metadata;
};

/** Answers a unary call once. `fail` turns what was thrown into what the caller is told. */
export const reply = async <Response>(
  callback: sendUnaryData<Response>,
  answer: () => Promise<Response>,
  fail: (error: unknown) => AdaptletError,
): Promise<void> => {
  let response: Response;
  try {
    response = await answer();
  } catch (error) {
    callback(toServiceError(fail(error)));
    return;
  }
  callback(null, response);
};

export type UnaryParts = { readonly clock: Clock; readonly log: Log };

/** A unary call that is not a generation: errors become statuses, the signal ends with the call. */
export const unary =
  <Request, Response>(
    parts: UnaryParts,
    method: string,
    answer: (request: Request, headers: Headers, signal: AbortSignal) => Response | Promise<Response>,
  ): handleUnaryCall<Request, Response> =>
  (call, callback) => {
    const controller = new AbortController();
    const { signal } = controller;
    onCancelled(call, parts.clock, (reason) => controller.abort(reason), method);
    const run = async (): Promise<Response> => answer(call.request, headersOf(call.metadata), signal);
    void reply(callback, run, (error) => {
      const failure = asAdaptletError(signal.aborted ? signal.reason : error, method);
      if (failure.code === 'INTERNAL') parts.log.error({ method, err: failure }, 'call failed');
      return failure;
    });
  };
