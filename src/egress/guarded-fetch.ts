import { lookup as dnsLookup } from 'node:dns/promises';
import { request as httpRequest, type IncomingMessage, type RequestOptions } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { isIP, type LookupFunction } from 'node:net';
import { Readable } from 'node:stream';
import type { ReadableStream } from 'node:stream/web';
import type { EgressPolicy } from './policy.ts';

export type Address = { readonly address: string; readonly family: number };
export type Lookup = (hostname: string) => Promise<readonly Address[]>;

const systemLookup: Lookup = (hostname) => dnsLookup(hostname, { all: true });

/**
 * A `fetch` that connects only to addresses that a policy allows. A name is looked up once, and the connection goes to one
 * of the addresses that were found and are allowed; a name with none is an error. Nothing is followed, kept or decompressed:
 * one connection for each request.
 * @throws EGRESS_DENIED, beside what the connection throws
 */
export const createGuardedFetch =
  (policy: EgressPolicy, lookup: Lookup = systemLookup): typeof fetch =>
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
      agent: false,
      lookup: guardedLookup(policy, url, lookup),
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

const responseOf = (message: IncomingMessage): Response => {
  const { statusCode: status = 0, rawHeaders } = message;
  const headers = new Headers();
  for (let i = 0; i + 1 < rawHeaders.length; i += 2)
    headers.append(rawHeaders[i] ?? '', rawHeaders[i + 1] ?? '');
  if (isEmpty(status)) message.resume();
  const body = isEmpty(status) ? null : (Readable.toWeb(message) as ReadableStream<Uint8Array>);
  return new Response(body, { status, headers });
};
