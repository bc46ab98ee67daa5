import type { EventEmitter } from 'node:events';
import {
  type handleUnaryCall,
  Metadata,
  type MetadataValue,
  type ServerDuplexStream,
  type ServerUnaryCall,
  type ServerWritableStream,
  type ServiceError,
  type sendUnaryData,
} from '@grpc/grpc-js';
import { AdaptletError, asAdaptletError } from '../../../errors/adaptlet-error.ts';
import { serviceErrorOf } from '../../../grpc/service-error.ts';
import type { Log } from '../../../telemetry/log.ts';
import type { Clock } from '../../../time/clock.ts';
import type { Identify } from '../../callers/caller.ts';
import type { ServedBy } from '../../routing/request.ts';
import { commonNameOf } from '../common-name.ts';
import { type Asking, type Headers, readHeaders } from '../context.ts';
import { Exchange, type Parts } from '../exchange.ts';
import { comeAgainMs, retryAfterOf, servedHeaders, wire } from '../wire.ts';

/** An error as gRPC sends it: status, message, and in the trailers its code and when to retry. */
export const toServiceError = (error: AdaptletError): ServiceError => {
  const retryAfter = retryAfterOf(error);
  const headers = retryAfter === undefined ? {} : { [wire.retryAfter]: retryAfter };
  return serviceErrorOf(error, headers, comeAgainMs(error));
};

type AnyCall =
  | ServerUnaryCall<unknown, unknown>
  | ServerWritableStream<unknown, unknown>
  | ServerDuplexStream<unknown, unknown>;

/** Text metadata of a call. Binary values (`-bin`) are left out: nothing routes by them. */
export const headersOf = (metadata: Metadata): Headers => readHeaders(textsOf(metadata.toJSON()));

function* textsOf(
  values: Readonly<Record<string, readonly MetadataValue[]>>,
): Generator<readonly [string, string]> {
  // Own keys alone: grpc-js puts what is sent as `__proto__` into its prototype.
  for (const [key, list] of Object.entries(values))
    for (const value of list) if (typeof value === 'string') yield [key, value];
}

/** The address of a peer that grpc-js names `address:port`. */
const addressOf = (peer: string): string | undefined => {
  const end = peer.lastIndexOf(':');
  return end < 0 ? undefined : peer.slice(0, end);
};

/**
 * Who called, by the metadata and the connection.
 * @throws UNAUTHENTICATED; REQUEST_INVALID for headers over their limits
 */
export const askingOf = async (
  { identify }: { readonly identify: Identify },
  call: AnyCall,
  headers: Headers = headersOf(call.metadata),
): Promise<Asking> => {
  const { sslPeerCertificate } = call.getAuthContext();
  const caller = await identify({
    headers,
    address: addressOf(call.getPeer()),
    commonName: commonNameOf(sslPeerCertificate),
  });
  return { headers, caller };
};

/** Milliseconds until the deadline that the client gave, or undefined. */
export const timeLeft = (call: AnyCall, clock: Clock): number | undefined => {
  const deadline = call.getDeadline();
  const at = typeof deadline === 'number' ? deadline : deadline.getTime();
  return Number.isFinite(at) ? at - clock.now() : undefined;
};

/**
 * A client that gives up at its deadline cancels the call, and that may arrive shortly before the deadline passes here:
 * the network decides. So much of the time that the client gave still counts as its deadline.
 */
const deadlineMargin = (timeoutMs: number): number => Math.min(250, timeoutMs / 4);

/**
 * grpc-js says `cancelled` when the client leaves and when its deadline passes: the time that is left tells which. It says so behind each
 * answer as well, so the reason is made for who wants it.
 */
export const onCancelled = (
  call: AnyCall,
  clock: Clock,
  ended: (reason: () => AdaptletError) => void,
  method: string,
): void => {
  const timeoutMs = timeLeft(call, clock);
  (call as EventEmitter).on('cancelled', () => {
    const left = timeLeft(call, clock);
    const isLate = timeoutMs !== undefined && left !== undefined && left <= deadlineMargin(timeoutMs);
    ended(() =>
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
  const ended = (reason: () => AdaptletError): void => {
    if (!exchange.signal.aborted) exchange.abort(reason());
  };
  onCancelled(call, parts.clock, ended, method);
  return exchange;
};

type Drains = {
  once(event: 'drain', listener: () => void): unknown;
  off(event: 'drain', listener: () => void): unknown;
};

/**
 * Resolves when the reader has taken enough, rejects when the exchange ends.
 * A reader that takes nothing for `slowClientMs` ends it: it must not hold a slot of the engine.
 */
export const drained = (call: Drains, exchange: Exchange, parts: Parts): Promise<void> =>
  new Promise((resolve, reject) => {
    const settle = (then: () => void): void => {
      stopTimer();
      call.off('drain', onDrain);
      exchange.signal.removeEventListener('abort', onAbort);
      then();
    };
    const onDrain = (): void => settle(resolve);
    const onAbort = (): void => settle(() => reject(exchange.signal.reason as AdaptletError));
    const stopTimer = parts.clock.after(parts.slowClientMs, () => exchange.tooSlow());
    call.once('drain', onDrain);
    exchange.signal.addEventListener('abort', onAbort);
    if (exchange.signal.aborted) onAbort();
  });

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
export const unary = <Request, Response>(
  parts: UnaryParts,
  method: string,
  answer: (request: Request, signal: AbortSignal) => Response | Promise<Response>,
): handleUnaryCall<Request, Response> =>
  unaryCall(parts, method, ({ request }, signal) => answer(request, signal));

/** A unary call of a known caller. */
export const knownUnary = <Request, Response>(
  parts: UnaryParts & { readonly identify: Identify },
  method: string,
  answer: (request: Request, asking: Asking, signal: AbortSignal) => Response | Promise<Response>,
): handleUnaryCall<Request, Response> =>
  unaryCall(parts, method, async (call, signal) => answer(call.request, await askingOf(parts, call), signal));

const unaryCall =
  <Request, Response>(
    parts: UnaryParts,
    method: string,
    answer: (call: ServerUnaryCall<Request, Response>, signal: AbortSignal) => Response | Promise<Response>,
  ): handleUnaryCall<Request, Response> =>
  (call, callback) => {
    const controller = new AbortController();
    const { signal } = controller;
    onCancelled(call, parts.clock, (reason) => controller.abort(reason()), method);
    const run = async (): Promise<Response> => answer(call, signal);
    void reply(callback, run, (error) => {
      const failure = asAdaptletError(signal.aborted ? signal.reason : error, method);
      if (failure.code === 'INTERNAL') parts.log.error({ method, err: failure }, 'call failed');
      return failure;
    });
  };
