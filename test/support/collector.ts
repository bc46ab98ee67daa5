import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { json } from 'node:stream/consumers';

type Value = {
  readonly stringValue?: string;
  readonly boolValue?: boolean;
  /** OTLP's JSON has 64-bit integers as text or as numbers. */
  readonly intValue?: string | number;
  readonly doubleValue?: number;
  readonly arrayValue?: { readonly values?: readonly Value[] };
};
type KeyValue = { readonly key: string; readonly value: Value };

/** A span as the OTLP specification encodes it in JSON. */
type WireSpan = {
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId?: string;
  readonly name: string;
  readonly startTimeUnixNano: string;
  readonly endTimeUnixNano: string;
  /** 2: it failed. */
  readonly status?: { readonly code?: number };
  readonly attributes?: readonly KeyValue[];
};
export type WireRequest = {
  readonly resourceSpans: readonly {
    readonly resource?: { readonly attributes?: readonly KeyValue[] };
    readonly scopeSpans: readonly { readonly spans: readonly WireSpan[] }[];
  }[];
};

export type Span = Omit<WireSpan, 'attributes' | 'startTimeUnixNano' | 'endTimeUnixNano'> & {
  readonly service: unknown;
  readonly start: bigint;
  readonly end: bigint;
  readonly attributes: Readonly<Record<string, unknown>>;
};

const valueOf = (value: Value): unknown => {
  const { stringValue, boolValue, intValue, doubleValue, arrayValue } = value;
  if (arrayValue !== undefined) return (arrayValue.values ?? []).map(valueOf);
  if (intValue !== undefined) return Number(intValue);
  return stringValue ?? boolValue ?? doubleValue;
};
const recordOf = (all: readonly KeyValue[] = []): Record<string, unknown> =>
  Object.fromEntries(all.map(({ key, value }) => [key, valueOf(value)]));

export const spansOf = ({ resourceSpans }: WireRequest): Span[] =>
  resourceSpans.flatMap(({ resource, scopeSpans }) => {
    const service = recordOf(resource?.attributes)['service.name'];
    return scopeSpans
      .flatMap(({ spans }) => spans)
      .map(({ attributes, startTimeUnixNano, endTimeUnixNano, ...rest }) => ({
        ...rest,
        service,
        start: BigInt(startTimeUnixNano),
        end: BigInt(endTimeUnixNano),
        attributes: recordOf(attributes),
      }));
  });

/** The receiver of an OpenTelemetry collector: OTLP/HTTP with JSON, traces alone. */
export class Collector implements Disposable {
  readonly spans: Span[] = [];
  /** What was no OTLP: paths and types of requests. */
  readonly refused: string[] = [];
  readonly #server: Server;

  private constructor() {
    this.#server = createServer((request, response) => {
      const type = request.headers['content-type'] ?? '';
      if (request.method !== 'POST' || request.url !== '/v1/traces' || !type.startsWith('application/json')) {
        this.refused.push(`${request.method} ${request.url} ${type}`);
        response.writeHead(415).end();
        return;
      }
      const take = async (): Promise<void> => {
        this.spans.push(...spansOf((await json(request)) as WireRequest));
        response.setHeader('content-type', 'application/json').end('{}');
      };
      take().catch((error: unknown) => {
        this.refused.push(String(error));
        response.writeHead(400).end();
      });
    });
  }

  static async start(): Promise<Collector> {
    const collector = new Collector();
    await new Promise<void>((resolve) => collector.#server.listen(0, '127.0.0.1', resolve));
    return collector;
  }

  get endpoint(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** Of one trace, by name; the last one of each. */
  trace(traceId: string): ReadonlyMap<string, Span> {
    return new Map(this.spans.filter((span) => span.traceId === traceId).map((span) => [span.name, span]));
  }

  [Symbol.dispose](): void {
    this.#server.close();
    this.#server.closeAllConnections();
  }
}
