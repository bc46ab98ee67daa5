import type { AdaptletError } from '../../errors/adaptlet-error.ts';
import type { ErrorCode } from '../../errors/catalogue.ts';
import { sessionTokenHeader } from '../routing/identity.ts';
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
  /** Of a response: what classifiers of the route said; absent where none was asked. */
  classified: 'x-adaptlet-classified',
  /** Of a response: what a client may send back with the next request of its session; absent where nothing is kept. */
  sessionToken: sessionTokenHeader,
  /** Of a response: what Feedback and logs know the request by. */
  requestId: 'x-adaptlet-request-id',
  /** Of a request over HTTP: what its caller knows it by. Of its response: the same, else as `requestId`; OpenAI's clients show it. */
  callersId: 'x-request-id',
  /** Of an error: its code in the error catalogue. */
  error: 'x-adaptlet-error',
  /** Of an error: seconds after which a retry makes sense. */
  retryAfter: 'retry-after',
} as const;

/** Names may hold any text, headers only printable ASCII: the rest is percent-encoded as UTF-8. */
const headerValue = (text: string): string =>
  /^[\x20-\x7e]*$/.test(text)
    ? text
    : text.toWellFormed().replaceAll(/[^\x20-\x7e]/gu, (c) => encodeURIComponent(c));

/** What a caller knows its request by, of that header; undefined: nothing, or nothing that can be sent back and logged as it is. */
export const callersIdOf = (given: unknown): string | undefined =>
  typeof given === 'string' && /^[\x21-\x7e]{1,128}$/.test(given) ? given : undefined;

const servedKeys = ['adapter', 'digest', 'rollout', 'arm', 'rule', 'classified', 'sessionToken'] as const;

/** The headers that tell what produced an answer, and its id. Empty ones are left out. */
export const servedHeaders = (id: string, served: ServedBy): [string, string][] => {
  const headers: [string, string][] = [];
  for (const key of servedKeys) {
    const { [key]: value = '' } = served;
    if (value !== '') headers.push([wire[key], headerValue(value)]);
  }
  headers.push([wire.requestId, id]);
  return headers;
};

/** What passes by itself within seconds, also where who throws it does not know when. Others say themselves where waiting helps. */
const passing: ReadonlySet<ErrorCode> = new Set([
  'ENGINE_DOWN',
  'QUEUE_FULL',
  'MEMORY_PRESSURE',
  'NO_VERSION_SERVES',
]);
const usualRetryMs = 1000;

/** Milliseconds after which a request may be sent again. Undefined where coming back does not help. */
export const comeAgainMs = ({ retryAfterMs, code }: AdaptletError): number | undefined =>
  retryAfterMs ?? (passing.has(code) ? usualRetryMs : undefined);

/** The value of retry-after: whole seconds of {@link comeAgainMs}, at least one. Gateways leave an endpoint alone for that long. */
export const retryAfterOf = (error: AdaptletError): string | undefined => {
  const ms = comeAgainMs(error);
  return ms === undefined ? undefined : String(Math.max(1, Math.ceil(ms / 1000)));
};
