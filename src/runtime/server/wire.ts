import type { ServedBy } from '../routing/request.ts';

/** Metadata keys and header names of the data plane. The same on gRPC and HTTP. */
export const wire = {
  /** Where names are looked up. */
  namespace: 'x-adaptlet-namespace',
  /** Of a response: name of the Adapter; absent when the base model answered. */
  adapter: 'x-adaptlet-adapter',
  /** Of a response: digest of the adapter, or of the base model. */
  digest: 'x-adaptlet-digest',
  /** Of a response: the rollout that chose; absent without one. */
  rollout: 'x-adaptlet-rollout',
  /** Of a response: stable, canary or base; absent when an Adapter was asked for by its own name. */
  arm: 'x-adaptlet-arm',
  /** Of a response: the rule of the route that decided; absent without one. */
  rule: 'x-adaptlet-rule',
  /** Of a response: what Feedback and logs know the request by. */
  requestId: 'x-adaptlet-request-id',
  /** Of an error: its code in the error catalogue. */
  error: 'x-adaptlet-error',
  /** Of an error: seconds after which a retry makes sense. */
  retryAfter: 'retry-after',
} as const;

/** Names may hold any text, headers only printable ASCII: the rest is percent-encoded as UTF-8. */
const headerValue = (text: string): string =>
  text.toWellFormed().replaceAll(/[^\x20-\x7e]/gu, (c) => encodeURIComponent(c));

/** The headers that tell what produced an answer, and its id. Empty ones are left out. */
export const servedHeaders = (id: string, served: ServedBy): [string, string][] => [
  ...(['adapter', 'digest', 'rollout', 'arm', 'rule'] as const)
    .map((key): [string, string] => [wire[key], headerValue(served[key])])
    .filter(([, value]) => value !== ''),
  [wire.requestId, id],
];

/** Whole seconds for retry-after, at least one. */
export const retryAfterSeconds = (ms: number): string => String(Math.max(1, Math.ceil(ms / 1000)));
