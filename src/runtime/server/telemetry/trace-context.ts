import { type Context, createTraceState, ROOT_CONTEXT, type Span, trace } from '@opentelemetry/api';
import type { Headers } from '../context.ts';

/** The caller's span from `traceparent` and `tracestate` (https://www.w3.org/TR/trace-context/), else a new trace. */
export const remoteContext = (headers: Headers): Context => {
  const [, version, traceId, spanId, flags] =
    /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(?:-.*)?$/.exec(
      headers.get('traceparent') ?? '',
    ) ?? [];
  if (version === undefined || version === 'ff' || traceId === undefined || spanId === undefined)
    return ROOT_CONTEXT;
  if (/^0+$/.test(traceId) || /^0+$/.test(spanId)) return ROOT_CONTEXT;
  const state = headers.get('tracestate');
  return trace.setSpanContext(ROOT_CONTEXT, {
    traceId,
    spanId,
    traceFlags: Number.parseInt(flags ?? '00', 16) & 1,
    isRemote: true,
    ...(state === undefined ? {} : { traceState: createTraceState(state) }),
  });
};

export const childOf = (span: Span): Context => trace.setSpan(ROOT_CONTEXT, span);
