import { lookup as dnsLookup } from 'node:dns/promises';
import { request as httpRequest, type IncomingMessage, type RequestOptions } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { isIP, type LookupFunction } from 'node:net';
import { Readable } from 'node:stream';
import type { ReadableStream } from 'node:stream/web';
import { errnoOf } from '../errors/errno.ts';
import type { EgressPolicy } from './policy.ts';
import { agentThrough, type ProxyFor } from './proxy.ts';

export type Address = { readonly address: string; readonly family: number };
export type Lookup = (hostname: string) => Promise<readonly Address[]>;

const direct: ProxyFor = () => undefined;

const systemLookup: Lookup = (hostname) => dnsLookup(hostname, { all: true });

/**
 * A `fetch` that connects only to addresses that a policy allows. A name is looked up once, and the connection goes to one
 * of the addresses that were found and are allowed; a name with none is an error. Nothing is followed, kept or decompressed:
 * one connection for each request.
 *
 * Where a proxy leads to the target, the policy is about the target, and the proxy is the administrator's. It looks the name up by
 * itself, so every address that is found here has to be allowed, and a name that is not found here has to be listed. What it
 * connects to in the end is proved by the certificate; without TLS the host is one that the administrator listed.
 * @throws EGRESS_DENIED, beside what the connection throws
 */
export const createGuardedFetch =
  (policy: EgressPolicy, lookup: Lookup = systemLookup, proxyFor: ProxyFor = direct): typeof fetch =>
  async (input, init = {}) => {
    const url = new URL(input instanceof Request ? input.url : input);
    if (init.redirect !== 'manual') throw new TypeError('redirects are up to the caller');
    const host = url.hostname.replace(/^\[(.*)\]$/, '$1');
    // A connection to an address looks nothing up.
    if (isIP(host) !== 0) policy.check(url, host);
    const headers = new Headers(init.headers);
    const body = bodyOf(init.body, headers);
    const options: RequestOptions = {
      method: init.method ?? 'GET',
      headers: Object.fromEntries(headers),
      ...(await connecting({ policy, lookup, proxyFor }, url, host, init.signal)),
      ...(init.signal ? { signal: init.signal } : {}),
    };
    const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
    const request = url.protocol === 'https:' ? httpsRequest(url, options) : httpRequest(url, options);
    request.on('response', resolve).on('error', reject).end(body);
    const message = await promise;
    try {
      return responseOf(message);
    } catch (error) {
      // A status or a header that is none of HTTP.
      message.destroy();
      throw error;
    }
  };

type Guard = { readonly policy: EgressPolicy; readonly lookup: Lookup; readonly proxyFor: ProxyFor };

/** @throws EGRESS_DENIED */
const connecting = async (
  { policy, lookup, proxyFor }: Guard,
  url: URL,
  host: string,
  signal: RequestInit['signal'],
): Promise<Pick<RequestOptions, 'agent' | 'lookup'>> => {
  const proxy = proxyFor(url);
  if (proxy === undefined) return { agent: false, lookup: guardedLookup(policy, url, lookup) };
  // An address was checked already.
  if (isIP(host) === 0)
    for (const { address } of await knownOf(policy, url, lookup(host))) policy.check(url, address);
  return { agent: agentThrough(proxy, url, signal) };
};

/**
 * The addresses of a name that a proxy looks up by itself; none where it is listed and not found here.
 * @throws EGRESS_DENIED; what the lookup throws where that may be over soon
 */
const knownOf = async (
  policy: EgressPolicy,
  url: URL,
  lookup: Promise<readonly Address[]>,
): Promise<readonly Address[]> => {
  let found: readonly Address[];
  try {
    found = await lookup;
  } catch (error) {
    if (errnoOf(error) !== 'ENOTFOUND' && !policy.lists(url)) throw error;
    found = [];
  }
  if (found.length === 0) policy.checkUnknown(url);
  return found;
};

/** What connections ask in place of the resolver: all addresses that are allowed, or why there is none. */
const guardedLookup =
  (policy: EgressPolicy, url: URL, lookup: Lookup): LookupFunction =>
  (hostname, { all }, callback) => {
    void (async () => {
      try {
        const allowed = allowedOf(policy, url, await lookup(hostname));
        const [first] = allowed;
        if (first === undefined) throw new Error(`${hostname} has no address`);
        if (all === true) callback(null, allowed);
        else callback(null, first.address, first.family);
      } catch (error) {
        callback(error instanceof Error ? error : new Error(String(error)), '', 0);
      }
    })();
  };

/** @throws EGRESS_DENIED where none of them is */
const allowedOf = (policy: EgressPolicy, url: URL, found: readonly Address[]): Address[] => {
  let refusal: unknown;
  const allowed = found.filter(({ address }) => {
    try {
      policy.check(url, address);
      return true;
    } catch (error) {
      refusal ??= error;
      return false;
    }
  });
  if (allowed.length === 0 && refusal !== undefined) throw refusal;
  return allowed;
};

const bodyOf = (body: RequestInit['body'], headers: Headers): string | Uint8Array | undefined => {
  if (body === undefined || body === null) return undefined;
  if (typeof body === 'string' || body instanceof Uint8Array) return body;
  if (!(body instanceof URLSearchParams)) throw new TypeError('a body is text, bytes or a form');
  headers.set('content-type', 'application/x-www-form-urlencoded;charset=UTF-8');
  return body.toString();
};

/** Statuses that have no body by definition. */
const isEmpty = (status: number): boolean => [204, 205, 304].includes(status);

/** @throws where a status or a header is none of HTTP */
export const responseOf = (message: IncomingMessage): Response => {
  const { statusCode: status = 0, rawHeaders } = message;
  const headers = new Headers();
  for (let i = 0; i + 1 < rawHeaders.length; i += 2)
    headers.append(rawHeaders[i] ?? '', rawHeaders[i + 1] ?? '');
  if (isEmpty(status)) message.resume();
  const body = isEmpty(status) ? null : (Readable.toWeb(message) as ReadableStream<Uint8Array>);
  return new Response(body, { status, headers });
};
