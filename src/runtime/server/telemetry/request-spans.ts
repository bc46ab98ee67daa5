import { type Span, SpanKind, SpanStatusCode, type Tracer } from '@opentelemetry/api';
import type { ErrorCode } from '../../../errors/catalogue.ts';
import type { RequestContext, ServedBy } from '../../routing/request.ts';
import type { Headers } from '../context.ts';
import { attributes, spans } from './names.ts';
import { childOf, remoteContext } from './trace-context.ts';

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
