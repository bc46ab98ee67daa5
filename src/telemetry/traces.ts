import type { Tracer } from '@opentelemetry/api';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http';
import { resourceFromAttributes } from '@opentelemetry/resources';
import { BatchSpanProcessor, type SpanProcessor, TracerProvider } from '@opentelemetry/sdk-trace';

export type Traces = { readonly tracer: Tracer; close(): Promise<void> };

/** Where spans go: an OTLP/HTTP endpoint, a processor of a test, or nowhere. */
export type TraceTarget = {
  readonly endpoint?: string | undefined;
  readonly processor?: SpanProcessor | undefined;
};

const processorsOf = ({ endpoint, processor }: TraceTarget): SpanProcessor[] => {
  if (processor !== undefined) return [processor];
  if (endpoint === undefined || endpoint === '') return [];
  // The environment variable names the base; traces have a path of their own (OTLP exporter specification).
  const url = `${endpoint.replace(/\/+$/, '')}/v1/traces`;
  return [new BatchSpanProcessor({ exporter: new OTLPTraceExporter({ url }) })];
};

/** Undefined when spans go nowhere: then none are made. */
export const createTraces = (
  target: TraceTarget,
  build: { readonly service: string; readonly version: string; readonly instance: string },
): Traces | undefined => {
  const spanProcessors = processorsOf(target);
  if (spanProcessors.length === 0) return undefined;
  const resource = resourceFromAttributes({
    'service.name': build.service,
    'service.version': build.version,
    'service.instance.id': build.instance,
  });
  const provider = new TracerProvider({ resource, spanProcessors });
  return { tracer: provider.getTracer('adaptlet', build.version), close: () => provider.shutdown() };
};
