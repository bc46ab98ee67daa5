import { hintHeader } from '../../api/match.ts';
import type { Right } from '../../api/policy.ts';
import { type Caller, type Grant, grantOf, lacks } from '../callers/caller.ts';
import { credentialHeaders } from '../callers/credential.ts';
import { asOwnHeaders } from '../callers/gateway.ts';
import { type Identity, identityHeaders, identityOf, ownIdentityOf } from '../routing/identity.ts';
import { namespaceIn } from '../routing/names.ts';
import type { RequestContext } from '../routing/request.ts';
import { refuse } from './refuse.ts';
import { wire } from './wire.ts';

/** What a request may bring along. More is refused: a header cut short could route to the wrong adapter. */
export const headerLimits = {
  count: 128,
  /** Characters of one value, and of all names and values together. */
  value: 8192,
  total: 32_768,
  /** Characters of model and namespace. */
  name: 512,
} as const;

export type Headers = ReadonlyMap<string, string>;

/** Who asks, and with which headers. */
export type Asking = { readonly headers: Headers; readonly caller: Caller };

/**
 * Headers by lower-case name; repeated ones joined by ", " as HTTP does, and cookies by "; ".
 * @throws REQUEST_INVALID over a limit
 */
export const readHeaders = (pairs: Iterable<readonly [string, string]>): Headers => {
  const headers = new Map<string, string>();
  let total = 0;
  for (const [rawName, value] of pairs) {
    const name = rawName.toLowerCase();
    total += name.length + value.length;
    const before = headers.get(name);
    const joined = before === undefined ? value : `${before}${name === 'cookie' ? ';' : ','} ${value}`;
    if (joined.length > headerLimits.value)
      refuse(`header ${name.slice(0, 64)} is longer than ${headerLimits.value} characters`);
    if (total > headerLimits.total)
      refuse(`the headers are longer than ${headerLimits.total} characters together`);
    headers.set(name, joined);
    if (headers.size > headerLimits.count) refuse(`the request has more than ${headerLimits.count} headers`);
  }
  return headers;
};

/** A name to look up: checked before it goes into logs and messages. */
const checkedName = (what: string, value: string | undefined): string | undefined => {
  if (value === undefined || value === '') return undefined;
  if (value.length > headerLimits.name) refuse(`${what} is longer than ${headerLimits.name} characters`);
  if (/\p{C}/u.test(value)) refuse(`${what} has unprintable characters`);
  return value;
};

export type Asked = {
  readonly model: string;
  /** From the body of the request. The header of the same meaning wins: a proxy that knows the caller sets it. */
  readonly namespace?: string | undefined;
  readonly user?: string | undefined;
  readonly session?: string | undefined;
};

/**
 * Namespace of a request that names no model.
 * @throws REQUEST_INVALID; FORBIDDEN or UNAUTHENTICATED where the caller may not ask for its names
 */
export const askedNamespace = (headers: Headers, caller: Caller, named?: string): string => {
  const namespace =
    checkedName('namespace', named) ?? checkedName('namespace', headers.get(wire.namespace)) ?? caller.home;
  grantOf(caller, namespace);
  return namespace;
};

/**
 * Who asks, for what. The namespace is the one whose names are looked up. Nothing was looked up yet: what is refused here
 * does not depend on what there is.
 * @throws REQUEST_INVALID for an empty model or an identity over its limit; FORBIDDEN or UNAUTHENTICATED for what the
 * caller may not ask for
 */
export const requestContext = (given: Headers, asked: Asked, caller: Caller): RequestContext => {
  const headers = caller.gateway === undefined ? given : asOwnHeaders(given, caller.gateway);
  const model = checkedName('model', asked.model) ?? refuse('model is empty');
  const named =
    checkedName('namespace', headers.get(wire.namespace)) ?? checkedName('namespace', asked.namespace);
  const namespace = namespaceIn(model) ?? named ?? caller.home;
  const grant = grantOf(caller, namespace);
  return {
    namespace,
    model,
    ...(grant.caller === '' ? {} : { caller: grant.caller }),
    ...whoOf(grant, headers, asked),
    headers: withoutClaims(headers, grant),
  };
};

const whoOf = (grant: Grant, headers: Headers, { user, session }: Asked): Identity => {
  const who = grant.rights.has('Users')
    ? identityOf(headers, { user, session }, grant)
    : ownIdentityOf(headers, grant);
  if ((who.priority ?? 0) > 0 && !grant.rights.has('Priority')) {
    throw lacks(grant, 'Priority', 'a priority above 0');
  }
  return who;
};

/** Credentials go no further, nor does what a caller may not say: routes match by headers. */
const withoutClaims = (headers: Headers, { rights }: Grant): Headers => {
  const hidden = hiddenFrom(rights);
  if (!hidden.some((name) => headers.has(name))) return headers;
  const left = new Map(headers);
  for (const name of hidden) left.delete(name);
  return left;
};

/** Names of headers, in lower case, that routes do not see of a caller with these rights. */
export const hiddenFrom = (rights: ReadonlySet<Right>): readonly string[] => {
  const { user, session, tenant } = identityHeaders;
  return [
    ...credentialHeaders,
    ...(rights.has('Users') ? [] : [user, session, tenant]),
    ...(rights.has('Hints') ? [] : [hintHeader]),
  ];
};
