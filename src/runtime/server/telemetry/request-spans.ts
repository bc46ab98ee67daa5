import {
  type Attributes,
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
import type { FinishReason, Timing } from '../../engine/engine.ts';
import type { RequestContext, ServedBy } from '../../routing/request.ts';
import type { Stage } from '../../serving/stages.ts';
import type { Headers } from '../context.ts';
import { attributes, spans } from './names.ts';

export type RequestOutcome = {
  readonly code: ErrorCode | 'OK';
  readonly promptTokens: number;
  readonly completionTokens: number;
  /** Of a generation that came to its end. */
  readonly generated?: {
    readonly timing: Timing;
    /** Of each answer. */
    readonly finishReasons: readonly FinishReason[];
    readonly cachedTokens?: number | undefined;
  };
};

/** What a log line has of a trace, by the names that OpenTelemetry gives them there. */
export type TraceIds = { readonly trace_id?: string; readonly span_id?: string };

/** Milliseconds since the epoch, with fractions, by the clock that spans have. */
const wallNow = (): number => performance.timeOrigin + performance.now();

/** By the method that a client called; others say what they do by what they are asked. */
const operations: Readonly<Record<string, string>> = {
  '/v1/chat/completions': 'chat',
  '/v1/responses': 'chat',
  '/v1/completions': 'text_completion',
  'Inference/Generate': 'text_completion',
  '/v1/embeddings': 'embeddings',
  'Inference/Embed': 'embeddings',
};

/**
 * The spans of one request: the request itself, below it its parts one after the other, and below that of the engine queue,
 * prefill and decode. All are below the span of the caller, so that a gateway's trace goes on to the last token.
 */
export class RequestSpans {
  readonly #tracer: Tracer;
  readonly #request: Span;
  /** The part that is under way. */
  #part: Span | undefined;
  /** When the engine got the request, and when its first token came; in {@link wallNow}. */
  #engineAt: number | undefined;
  #answerAt: number | undefined;
  /** Its end was told; parts that are still under way go on without spans. */
  #isOver = false;

  constructor(
    tracer: Tracer,
    call: { readonly protocol: string; readonly method: string; readonly headers: Headers },
  ) {
    const { protocol, method, headers } = call;
    const operation = operations[method];
    this.#tracer = tracer;
    this.#request = tracer.startSpan(
      spans.request,
      {
        kind: SpanKind.SERVER,
        attributes: {
          [attributes.protocol]: protocol,
          [attributes.method]: method,
          [attributes.provider]: 'adaptlet',
          ...(operation === undefined ? {} : { [attributes.operation]: operation }),
        },
      },
      remoteContext(headers),
    );
  }

  get ids(): TraceIds {
    const { traceId, spanId } = this.#request.spanContext();
    return { trace_id: traceId, span_id: spanId };
  }

  routing({ model, namespace, caller }: RequestContext): void {
    this.#request.setAttributes({
      [attributes.model]: model,
      [attributes.requestModel]: model,
      [attributes.namespace]: namespace,
      ...(caller === undefined ? {} : { [attributes.caller]: caller }),
    });
  }

  /** A part begins; what went before it in vain is seen as well. */
  stage(stage: Stage): void {
    if (this.#isOver) return;
    this.#part?.end();
    this.#part = this.#tracer.startSpan(spans[stage], {}, childOf(this.#request));
    this.#engineAt = stage === 'engine' ? wallNow() : undefined;
  }

  acquired(id: string, served: ServedBy): void {
    this.#answerAt = wallNow();
    this.#request.setAttributes({
      [attributes.requestId]: id,
      [attributes.responseId]: id,
      [attributes.adapter]: served.adapter,
      [attributes.digest]: served.digest,
      [attributes.rollout]: served.rollout,
      [attributes.arm]: served.arm,
      [attributes.rule]: served.rule,
      ...(served.adapter === '' ? {} : { [attributes.responseModel]: served.adapter }),
      ...classifiedOf(served),
    });
  }

  firstToken(ms: number): void {
    this.#request.setAttribute(attributes.timeToFirstToken, ms);
  }

  end({ code, promptTokens, completionTokens, generated }: RequestOutcome): void {
    this.#isOver = true;
    if (generated !== undefined) this.#generated(generated);
    if (code !== 'OK') {
      this.#request.setAttribute(attributes.errorType, code);
      for (const span of [this.#part, this.#request])
        span?.setStatus({ code: SpanStatusCode.ERROR, message: code });
    }
    this.#part?.end();
    this.#request.setAttributes({
      [attributes.code]: code,
      [attributes.promptTokens]: promptTokens,
      [attributes.completionTokens]: completionTokens,
    });
    this.#request.end();
  }

  /** How long the engine took for what is known at its end only. */
  #generated({ timing, finishReasons, cachedTokens = 0 }: NonNullable<RequestOutcome['generated']>): void {
    const { queueMs, prefillMs, decodeMs, switchMs } = timing;
    this.#request.setAttributes({
      [attributes.finishReasons]: [...finishReasons],
      [attributes.queueMs]: queueMs,
      [attributes.prefillMs]: prefillMs,
      [attributes.decodeMs]: decodeMs,
      [attributes.switchMs]: switchMs,
      ...(cachedTokens === 0 ? {} : { [attributes.cachedTokens]: cachedTokens }),
    });
    const [part, begun, answered] = [this.#part, this.#engineAt, this.#answerAt];
    if (part === undefined || begun === undefined || answered === undefined) return;
    const picked = Math.min(begun + queueMs, answered);
    this.#past(part, spans.queue, [begun, picked], { [attributes.queueMs]: queueMs });
    this.#past(part, spans.prefill, [picked, answered], {
      [attributes.prefillMs]: prefillMs,
      [attributes.switchMs]: switchMs,
    });
    this.#past(part, spans.decode, [answered, wallNow()], { [attributes.decodeMs]: decodeMs });
  }

  #past(parent: Span, name: string, [startTime, endTime]: readonly [number, number], more: Attributes): void {
    this.#tracer.startSpan(name, { startTime, attributes: more }, childOf(parent)).end(endTime);
  }
}

/** The text that the caller gets too, and its scores as numbers. */
const classifiedOf = ({ classified }: ServedBy): Attributes =>
  classified === undefined
    ? {}
    : {
        [attributes.classified]: classified,
        [attributes.classifierScores]: [...classified.matchAll(/;score=([\d.]+)/g)].map(([, score]) =>
          Number(score),
        ),
      };

/** Of the caller's trace, where this runtime makes none. */
export const remoteIds = (headers: Headers): TraceIds => {
  const context = trace.getSpanContext(remoteContext(headers));
  return context === undefined ? {} : { trace_id: context.traceId };
};

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
