import {
  type Context,
  createTraceState,
  ROOT_CONTEXT,
  type Span,
  SpanKind,
  SpanStatusCode,
  type Tracer,
  trace,
} from '@opentelemetry/api';
import type { ErrorCode } from '../../../errors/catalogue.ts';
import type { RequestContext, ServedBy } from '../../routing/request.ts';
import type { Headers } from '../context.ts';
import { attributes, spans } from './names.ts';

export type RequestOutcome = {
  readonly code: ErrorCode | 'OK';
  readonly promptTokens: number;
  readonly completionTokens: number;
};

/** The spans of one request: the request itself, and below it acquiring and generating. */
export class RequestSpans {
  readonly #tracer: Tracer;
  readonly #request: Span;
  #child: Span | undefined;

  constructor(
    tracer: Tracer,
    call: { readonly protocol: string; readonly method: string; readonly headers: Headers },
  ) {
    this.#tracer = tracer;
    this.#request = tracer.startSpan(
      spans.request,
      {
        kind: SpanKind.SERVER,
        attributes: { [attributes.protocol]: call.protocol, [attributes.method]: call.method },
      },
      remoteContext(call.headers),
    );
  }

  routing(context: RequestContext): void {
    this.#request.setAttributes({
      [attributes.model]: context.model,
      [attributes.namespace]: context.namespace,
      ...(context.caller === undefined ? {} : { [attributes.caller]: context.caller }),
    });
    this.#child = this.#tracer.startSpan(spans.acquire, {}, childOf(this.#request));
  }

  acquired(id: string, served: ServedBy): void {
    this.#child?.end();
    this.#request.setAttributes({
      [attributes.requestId]: id,
      [attributes.adapter]: served.adapter,
      [attributes.digest]: served.digest,
      [attributes.rollout]: served.rollout,
      [attributes.arm]: served.arm,
      [attributes.rule]: served.rule,
    });
    this.#child = this.#tracer.startSpan(spans.generate, {}, childOf(this.#request));
  }

  firstToken(ms: number): void {
    this.#request.setAttribute(attributes.timeToFirstToken, ms);
  }

  end({ code, promptTokens, completionTokens }: RequestOutcome): void {
    this.#child?.end();
    this.#request.setAttributes({
      [attributes.code]: code,
      [attributes.promptTokens]: promptTokens,
      [attributes.completionTokens]: completionTokens,
    });
    if (code !== 'OK') this.#request.setStatus({ code: SpanStatusCode.ERROR, message: code });
    this.#request.end();
  }
}

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
