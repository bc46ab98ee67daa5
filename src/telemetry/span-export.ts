import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http';
import { resourceFromAttributes } from '@opentelemetry/resources';
import { BatchSpanProcessor, type SpanProcessor, TracerProvider } from '@opentelemetry/sdk-trace';
import type { Build, Traces } from './traces.ts';

/** Spans to an OTLP/HTTP endpoint. */
export const otlpProcessor = (endpoint: string): SpanProcessor => {
  // The environment variable names the base; traces have a path of their own (OTLP exporter specification).
  const url = `${endpoint.replace(/\/+$/, '')}/v1/traces`;
  return new BatchSpanProcessor({ exporter: new OTLPTraceExporter({ url }) });
};

export const tracesTo = (processor: SpanProcessor, build: Build): Traces => {
  const resource = resourceFromAttributes({
    'service.name': build.service,
    'service.version': build.version,
    'service.instance.id': build.instance,
  });
  const provider = new TracerProvider({ resource, spanProcessors: [processor] });
  return { tracer: provider.getTracer('adaptlet', build.version), close: () => provider.shutdown() };
};
