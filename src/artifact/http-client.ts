import { AdaptletError } from '../errors/adaptlet-error.ts';
import { errnoOf } from '../errors/errno.ts';
import type { Clock } from '../time/clock.ts';
import { isPlainHttp } from './reference.ts';

export type HttpOptions = {
  readonly fetch: typeof fetch;
  readonly clock: Clock;
  /** Hosts, with or without port, that are spoken to without encryption. */
  readonly insecureHosts: readonly string[];
  /** This machine is one of them. Default true. */
  readonly insecureLoopback?: boolean;
  /** Time without a byte, in milliseconds, after which a connection counts as broken. */
  readonly idleMs: number;
};

/** A response and the watch over its body. Dispose it when the body is read or not wanted. */
export type Answer = AsyncDisposable & {
  readonly response: Response;
  /** Chunks of the body. Throws REGISTRY_UNAVAILABLE when it breaks off or stalls. */
  readonly body: AsyncIterable<Uint8Array>;
};

type Headers = Readonly<Record<string, string>>;

const maxRedirects = 5;

/** No server is left alone for longer, whatever it says. */
const maxRetryAfterMs = 3_600_000;

const retryAfterMs = (response: Response, clock: Clock): number | undefined => {
  const text = response.headers.get('retry-after');
  if (text === null) return undefined;
  const ms = /^\d+$/.test(text) ? Number(text) * 1000 : Date.parse(text) - clock.now();
  return Number.isFinite(ms) && ms > 0 ? Math.min(ms, maxRetryAfterMs) : undefined;
};

/** Aborts when nothing was heard for `ms`. */
const watchdog = (clock: Clock, ms: number) => {
  const controller = new AbortController();
  let cancel: (() => void) | undefined;
  const heard = (): void => {
    cancel?.();
    cancel = clock.after(ms, () => {
      controller.abort(new Error(`nothing was heard for ${ms} ms`));
    });
  };
  heard();
  return { signal: controller.signal, heard, stop: () => cancel?.() };
};

const unavailable = (url: URL, what: string, cause?: unknown, after?: number): AdaptletError =>
  new AdaptletError('REGISTRY_UNAVAILABLE', `${url.origin}${url.pathname} ${what}`, {
    ...(cause === undefined ? {} : { cause }),
    ...(after === undefined ? {} : { retryAfterMs: after }),
  });

/** Of the TLS of Node, where the certificate of a server is not what was expected. */
const certificateCode = /CERT|^UNABLE_TO_|_SIGNED_/;

/** `fetch` hides why: the cause of its error says it. One that is guarded throws what its connection says. */
const noAnswer = (url: URL, error: unknown): AdaptletError => {
  const causes = [error instanceof Error ? error.cause : undefined, error];
  const code = causes.map(errnoOf).find((one) => one !== undefined && one !== 'ABORT_ERR');
  if (code === undefined) return unavailable(url, 'did not answer', error);
  if (!certificateCode.test(code)) return unavailable(url, `did not answer (${code})`, error);
  return new AdaptletError(
    'REGISTRY_UNAVAILABLE',
    `the certificate of ${url.origin} is not accepted (${code})`,
    {
      cause: error,
      advice:
        'Name the authority that signed it by NODE_EXTRA_CA_CERTS, or by --ca FILE of push, pull and inspect.',
    },
  );
};

const refusedElsewhere = (start: URL, { origin }: URL, status: number): AdaptletError =>
  new AdaptletError(
    'REGISTRY_UNAVAILABLE',
    `${start.origin}${start.pathname} leads to ${origin}, which answered ${status}`,
    { advice: 'It is tried again. If it lasts, what it leads to asks for a login, and is sent none.' },
  );

/** What is sent with a request. */
export type Sent = {
  readonly method: 'GET' | 'HEAD' | 'POST' | 'PUT' | 'PATCH';
  readonly headers: Headers;
  /** Headers that say who asks: for the origin that is asked, and for none that it leads to. */
  readonly secret?: Headers;
  /** Made anew for each try; calls `heard` as it goes, so that a long upload is no stall. */
  readonly body?: (heard: () => void) => ReadableStream<Uint8Array> | Uint8Array<ArrayBuffer>;
};

/**
 * Requests to servers that tenants name: redirects, stalls, encryption. One attempt each; see `withRetries`.
 */
export class HttpClient {
  readonly #options: HttpOptions;

  constructor(options: HttpOptions) {
    this.#options = options;
  }

  /**
   * Redirects go to storage services: what is secret stays with the origin that it is for. What another registry has, or a
   * server that only this machine reaches, is not the source's own. Nor is what a storage service refuses: no credential answers
   * that, but the next try may lead to an address that is valid again.
   * @throws REGISTRY_REDIRECTS, and as of `send`
   */
  async follow(start: URL, { secret, ...bare }: Sent, signal: AbortSignal): Promise<Answer> {
    const own = { ...bare, headers: { ...bare.headers, ...secret } };
    let url = start;
    for (let hops = 0; hops <= maxRedirects; hops++) {
      const answer = await this.send(url, url.origin === start.origin ? own : bare, signal);
      const { status } = answer.response;
      const location = answer.response.headers.get('location');
      const isRefusedThere = url.origin !== start.origin && (status === 401 || status === 403);
      if (isRefusedThere) {
        await answer[Symbol.asyncDispose]();
        throw refusedElsewhere(start, url, status);
      }
      if (![301, 302, 303, 307, 308].includes(status) || location === null) return answer;
      await answer[Symbol.asyncDispose]();
      if (!URL.canParse(location, url.href)) throw unavailable(url, 'redirects to something that is no URL');
      url = new URL(location, url);
      if (url.origin !== start.origin && (url.protocol === 'http:' || isApi(url)))
        throw new AdaptletError('REGISTRY_REDIRECTS', `${start.host} leads to ${url.origin}${url.pathname}`);
    }
    throw unavailable(start, `redirects more than ${maxRedirects} times`);
  }

  /**
   * One request. Answers with any status below 500 but 429.
   * @throws REGISTRY_INSECURE, REGISTRY_UNAVAILABLE, EGRESS_DENIED
   */
  async send(
    url: URL,
    { method, headers, body }: Omit<Sent, 'secret'>,
    signal: AbortSignal,
  ): Promise<Answer> {
    this.#checkScheme(url);
    const { clock, idleMs } = this.#options;
    const watch = watchdog(clock, idleMs);
    let response: Response;
    try {
      response = await this.#options.fetch(url, {
        method,
        ...(body === undefined ? {} : { body: body(watch.heard), duplex: 'half' }),
        // Content-Encoding would make the bytes others than those of the digest.
        headers: { 'accept-encoding': 'identity', 'user-agent': 'adaptlet', ...headers },
        redirect: 'manual',
        signal: AbortSignal.any([signal, watch.signal]),
      });
    } catch (error) {
      watch.stop();
      signal.throwIfAborted();
      if (error instanceof AdaptletError) throw error;
      throw noAnswer(url, error);
    }
    const answer = watchedAnswer(url, response, watch, signal);
    if (response.status < 500 && response.status !== 429) return answer;
    await answer[Symbol.asyncDispose]();
    throw unavailable(url, `answered ${response.status}`, undefined, retryAfterMs(response, clock));
  }

  /** Whether a host is spoken to without encryption. */
  isPlain(host: string): boolean {
    const { insecureHosts, insecureLoopback } = this.#options;
    return isPlainHttp(host, insecureHosts, insecureLoopback);
  }

  #checkScheme(url: URL): void {
    if (url.protocol === 'https:') return;
    if (url.protocol === 'http:' && this.isPlain(url.host)) return;
    throw new AdaptletError('REGISTRY_INSECURE', `${url.protocol}//${url.host} is not HTTPS`);
  }
}

/** The protocol of registries, however its path is written. */
const isApi = ({ pathname }: URL): boolean => {
  const [, first = ''] = pathname.split(/(?:\/|%2f)+/i);
  return (
    first.replace(/%([0-9a-f]{2})/gi, (_, hex: string) => String.fromCharCode(Number(`0x${hex}`))) === 'v2'
  );
};

const watchedAnswer = (
  url: URL,
  response: Response,
  watch: ReturnType<typeof watchdog>,
  signal: AbortSignal,
): Answer => {
  const body = async function* (): AsyncGenerator<Uint8Array> {
    try {
      for await (const chunk of response.body ?? []) {
        // What the reader does with it is no silence of the server.
        watch.stop();
        yield chunk;
        watch.heard();
      }
    } catch (error) {
      signal.throwIfAborted();
      throw unavailable(url, 'broke off', error);
    } finally {
      watch.stop();
    }
  };
  return {
    response,
    body: body(),
    async [Symbol.asyncDispose]() {
      watch.stop();
      // A body that was read, or broke, has nothing left to cancel.
      if (response.body !== null && !response.body.locked) await response.body.cancel().catch(() => {});
    },
  };
};

/**
 * The whole body of an answer.
 * @throws ARTIFACT_TOO_LARGE over `maxBytes`
 */
export const readAll = async (answer: Answer, maxBytes: number, what: string): Promise<Uint8Array> => {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of answer.body) {
    size += chunk.length;
    if (size > maxBytes)
      throw new AdaptletError('ARTIFACT_TOO_LARGE', `${what} has more than ${maxBytes} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
};
