import type { Tracer } from '@opentelemetry/api';

export type Traces = { readonly tracer: Tracer; close(): Promise<void> };

/** What spans say about the program that made them. */
export type Build = { readonly service: string; readonly version: string; readonly instance: string };

/** Undefined without an endpoint: then no spans are made, and the code that would send them is not loaded. */
export const openTraces = async (endpoint: string | undefined, build: Build): Promise<Traces | undefined> => {
  if (endpoint === undefined || endpoint === '') return undefined;
  const { otlpProcessor, tracesTo } = await import('./span-export.ts');
  return tracesTo(otlpProcessor(endpoint), build);
};
