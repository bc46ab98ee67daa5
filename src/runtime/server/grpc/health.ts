import type { ServerWritableStream } from '@grpc/grpc-js';
import { AdaptletError } from '../../../errors/adaptlet-error.ts';
import {
  type HealthCheckRequest,
  type HealthCheckResponse,
  type HealthServer,
  HealthCheckResponse_ServingStatus as ServingStatus,
} from '../../../gen/grpc/health/v1/health.ts';
import type { Clock } from '../../../time/clock.ts';
import { toServiceError, type UnaryParts, unary } from './call.ts';

/** Milliseconds between two looks at readiness while somebody watches. */
const watchIntervalMs = 500;
/** Watches that are kept open; one more is refused. */
const maxWatches = 64;

type Watch = {
  readonly call: ServerWritableStream<HealthCheckRequest, HealthCheckResponse>;
  last: ServingStatus | undefined;
};

export type Health = { readonly service: HealthServer; readonly close: () => void };

/** grpc.health.v1 for the server as a whole ('') and for the named services. `close` says NOT_SERVING from then on. */
export const createHealth = (
  parts: UnaryParts & { readonly clock: Clock },
  services: readonly string[],
  ready: () => boolean,
): Health => {
  const known = new Set(['', ...services]);
  const watches = new Set<Watch>();
  let closed = false;
  let stopTimer: (() => void) | undefined;

  const statusOf = (service: string): ServingStatus => {
    if (!known.has(service)) return ServingStatus.SERVICE_UNKNOWN;
    return !closed && ready() ? ServingStatus.SERVING : ServingStatus.NOT_SERVING;
  };
  const tell = (watch: Watch): void => {
    const status = statusOf(watch.call.request.service);
    if (status === watch.last) return;
    watch.last = status;
    watch.call.write({ status });
  };
  const look = (): void => {
    stopTimer = undefined;
    for (const watch of watches) tell(watch);
    if (watches.size > 0 && !closed) stopTimer = parts.clock.after(watchIntervalMs, look);
  };

  return {
    service: {
      check: unary(parts, 'Health/Check', ({ service }) => {
        if (!known.has(service))
          throw new AdaptletError(
            'MODEL_NOT_FOUND',
            `service ${service} is not known; known are ${services.join(', ')}`,
          );
        return { status: statusOf(service) };
      }),
      watch(call) {
        if (watches.size >= maxWatches) {
          const full = new AdaptletError('QUEUE_FULL', `${maxWatches} health watches are open`, {
            retryAfterMs: 5000,
          });
          call.emit('error', toServiceError(full));
          return;
        }
        const watch: Watch = { call, last: undefined };
        watches.add(watch);
        call.on('cancelled', () => watches.delete(watch));
        tell(watch);
        stopTimer ??= parts.clock.after(watchIntervalMs, look);
      },
    },
    close() {
      closed = true;
      stopTimer?.();
      for (const watch of watches) {
        tell(watch);
        watch.call.end();
      }
      watches.clear();
    },
  };
};
