import { AdaptletError } from '../../errors/adaptlet-error.ts';
import type { RequestContext } from '../serving/serving.ts';
import { wire } from './wire.ts';

/** What a request may bring along. More is refused: a header cut short could route to the wrong adapter. */
export const headerLimits = {
  count: 128,
  /** Characters of one value, and of all names and values together. */
  value: 8192,
  total: 32_768,
  /** Characters of user, session, tenant, namespace and model. */
  identity: 256,
} as const;

export type Headers = ReadonlyMap<string, string>;

const refuse = (what: string): never => {
  throw new AdaptletError('REQUEST_INVALID', what);
};

/**
 * Headers by lower-case name; repeated ones joined by ", " as HTTP does. Errors: REQUEST_INVALID over a limit.
 */
export const readHeaders = (pairs: Iterable<readonly [string, string]>): Headers => {
  const headers = new Map<string, string>();
  let total = 0;
  for (const [rawName, value] of pairs) {
    const name = rawName.toLowerCase();
    total += name.length + value.length;
    const before = headers.get(name);
    const joined = before === undefined ? value : `${before}, ${value}`;
    if (joined.length > headerLimits.value)
      refuse(`header ${name.slice(0, 64)} is longer than ${headerLimits.value} characters`);
    if (total > headerLimits.total)
      refuse(`the headers are longer than ${headerLimits.total} characters together`);
    headers.set(name, joined);
    if (headers.size > headerLimits.count) refuse(`the request has more than ${headerLimits.count} headers`);
  }
  return headers;
};

const identity = (what: string, value: string | undefined): string | undefined => {
  if (value === undefined || value === '') return undefined;
  if (value.length > headerLimits.identity)
    refuse(`${what} is longer than ${headerLimits.identity} characters`);
  // Control characters would end up in logs, labels and hash keys.
  if (/\p{Cc}/u.test(value) || !value.isWellFormed()) refuse(`${what} has control characters`);
  return value;
};

export type Asked = {
  readonly model: string;
  /** From the body of the request. The header of the same meaning wins: a proxy that knows the caller sets it. */
  readonly namespace?: string | undefined;
  readonly user?: string | undefined;
  readonly session?: string | undefined;
};

/** Who asks, for what. Errors: REQUEST_INVALID for an empty model or an identity over its limit. */
export const requestContext = (headers: Headers, asked: Asked, defaultNamespace: string): RequestContext => {
  const pick = (what: 'user' | 'session' | 'tenant' | 'namespace', body?: string): string | undefined =>
    identity(wire[what], headers.get(wire[what])) ?? identity(what, body);
  const user = pick('user', asked.user);
  const session = pick('session', asked.session);
  const tenant = pick('tenant');
  return {
    namespace: pick('namespace', asked.namespace) ?? defaultNamespace,
    model: identity('model', asked.model) ?? refuse('model is empty'),
    ...(user === undefined ? {} : { user }),
    ...(session === undefined ? {} : { session }),
    ...(tenant === undefined ? {} : { tenant }),
    headers,
  };
};
