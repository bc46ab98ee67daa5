import { AdaptletError } from '../errors/adaptlet-error.ts';
import { errnoOf } from '../errors/errno.ts';
import type { Clock } from '../time/clock.ts';
import { type Authorization, Authorizations } from './authorizations.ts';
import type { CredentialsOf } from './docker-config.ts';
import { apiHostOf, type ImageReference, isPlainHttp } from './reference.ts';
import { answerChallenge, denied, type Get } from './registry-auth.ts';

export type RegistryHttpOptions = {
  readonly fetch: typeof fetch;
  readonly clock: Clock;
  readonly credentials: CredentialsOf;
  /** Hosts, with or without port, that are spoken to without encryption. */
  readonly insecureHosts: readonly string[];
  /** This machine is one of them. Default true. */
  readonly insecureLoopback?: boolean;
  /** Time without a byte, in milliseconds, after which a connection counts as broken. */
  readonly idleMs: number;
};

/** A 401 that has to be answered. */
export type Demand = {
  readonly reference: ImageReference;
  /** The header WWW-Authenticate. */
  readonly challenge: string | null;
  /** What was sent with the request is no longer taken. */
  readonly isRefused: boolean;
  /** One request to a token service. */
  readonly get: Get;
  readonly signal: AbortSignal;
};

/** Who asks a registry. */
export type Login = {
  /** Tells its authorizations from those of others. No secret; another credential has another name. */
  readonly name: string;
  /** @throws REGISTRY_DENIED, and what it needs for the answer may throw */
  authorize(demand: Demand): Promise<Authorization>;
  /** What to throw where the registry refuses an authorization. Default: REGISTRY_DENIED, as it comes. */
  readonly explained?: (denial: AdaptletError) => AdaptletError;
};

/** The one of the credentials that the options give. */
export const ownLogin = (credentials: CredentialsOf): Login => ({
  name: '',
  authorize: async ({ reference, challenge, get }) =>
    await answerChallenge(
      challenge,
      reference,
      await credentials(reference.registry, reference.repository),
      get,
    ),
});

/** `isRefused`: the authorization of before, unless it is newer than `freshMs`, is not given again. */
export type Freshness = { readonly isRefused: boolean; readonly freshMs: number };

/** A response and the watch over its body. Dispose it when the body is read or not wanted. */
export type Answer = AsyncDisposable & {
  readonly response: Response;
  /** Chunks of the body. Throws REGISTRY_UNAVAILABLE when it breaks off or stalls. */
  readonly body: AsyncIterable<Uint8Array>;
};

type Headers = Readonly<Record<string, string>>;

const maxRedirects = 5;

const retryAfterMs = (response: Response, clock: Clock): number | undefined => {
  const text = response.headers.get('retry-after');
  if (text === null) return undefined;
  const ms = /^\d+$/.test(text) ? Number(text) * 1000 : Date.parse(text) - clock.now();
  return Number.isFinite(ms) && ms > 0 ? ms : undefined;
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

/** `fetch` hides why: the cause of its error says it. */
const noAnswer = (url: URL, error: unknown): AdaptletError => {
  const code = error instanceof Error ? errnoOf(error.cause) : undefined;
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

/** What is sent with a request. */
export type Sent = {
  readonly method: 'GET' | 'HEAD' | 'POST' | 'PUT' | 'PATCH';
  readonly headers: Headers;
  /** Made anew for each try; calls `heard` as it goes, so that a long upload is no stall. */
  readonly body?: (heard: () => void) => ReadableStream<Uint8Array> | Uint8Array<ArrayBuffer>;
};

/** Requests to registries: authentication, redirects, stalls. One attempt each; see `withRetries`. */
export class RegistryHttp {
  readonly #options: RegistryHttpOptions;
  readonly #login: Login;
  /** By login, registry and repository. */
  readonly #authorizations: Authorizations;

  /** `login`, `authorizations`: those of another, see `as`. */
  constructor(
    options: RegistryHttpOptions,
    login = ownLogin(options.credentials),
    authorizations = new Authorizations(options.clock),
  ) {
    this.#options = options;
    this.#login = login;
    this.#authorizations = authorizations;
  }

  /**
   * The same for somebody else. What is remembered is bounded for all together. `through`: how requests leave, where it is not
   * as the options say.
   */
  as(login = this.#login, through = this.#options.fetch): RegistryHttp {
    return new RegistryHttp({ ...this.#options, fetch: through }, login, this.#authorizations);
  }

  /**
   * An authorization with which `path` can be read now; undefined: none is needed.
   * @throws as of `get`
   */
  async authorization(
    reference: ImageReference,
    path: string,
    { isRefused, freshMs }: Freshness,
    headers: Headers,
    signal: AbortSignal,
  ): Promise<Authorization | undefined> {
    const known = this.remembered(reference, { isRefused, freshMs });
    if (known !== undefined) return known;
    const key = this.#keyOf(reference);
    this.#authorizations.forget(key);
    await using _ = await this.request(reference, path, { method: 'HEAD', headers }, signal);
    return this.#authorizations.get(key);
  }

  /** The authorization that {@link authorization} gives without a request. */
  remembered(reference: ImageReference, { isRefused, freshMs }: Freshness): Authorization | undefined {
    const known = this.#authorizations.get(this.#keyOf(reference));
    return known !== undefined && (!isRefused || known.ageMs < freshMs) ? known : undefined;
  }

  /**
   * GET below `/v2/<repository>/`. Answers with any status below 500 but 401, 403 and 429.
   * @throws AdaptletError REGISTRY_DENIED, REGISTRY_INSECURE, REGISTRY_UNAVAILABLE
   */
  async get(reference: ImageReference, path: string, headers: Headers, signal: AbortSignal): Promise<Answer> {
    return await this.request(reference, path, { method: 'GET', headers }, signal);
  }

  /**
   * Any request: `path` is below `/v2/<repository>/`, or a URL that an answer of the registry named.
   * @throws as of `get`
   */
  async request(
    reference: ImageReference,
    path: string | URL,
    sent: Sent,
    signal: AbortSignal,
  ): Promise<Answer> {
    const url = path instanceof URL ? path : this.#urlOf(reference, path);
    // Credentials are for the registry alone, also where it has another server take what is pushed.
    if (url.origin !== this.#urlOf(reference, '').origin) return await this.#follow(url, sent, signal);
    const key = this.#keyOf(reference);
    const known = this.#authorizations.get(key)?.header;
    const first = await this.#follow(url, withAuthorization(sent, known), signal);
    if (first.response.status !== 401) return await this.#accepted(first, reference);
    await first[Symbol.asyncDispose]();
    this.#authorizations.forget(key);
    const challenge = first.response.headers.get('www-authenticate');
    const isRefused = known !== undefined;
    const authorization = await this.#authorize({ challenge, reference, isRefused, signal });
    const second = await this.#follow(url, withAuthorization(sent, authorization.header), signal);
    if (second.response.status === 401) {
      await second[Symbol.asyncDispose]();
      throw this.#denied(reference, 'it refuses the credentials');
    }
    this.#authorizations.set(key, authorization);
    return await this.#accepted(second, reference);
  }

  async #accepted(answer: Answer, reference: ImageReference): Promise<Answer> {
    if (answer.response.status !== 403) return answer;
    await answer[Symbol.asyncDispose]();
    this.#authorizations.forget(this.#keyOf(reference));
    throw this.#denied(reference, 'it forbids access');
  }

  #denied(reference: ImageReference, why: string): AdaptletError {
    const denial = denied(reference, why);
    return this.#login.explained?.(denial) ?? denial;
  }

  #urlOf({ registry, repository }: ImageReference, path: string): URL {
    const scheme = this.#isPlain(registry) ? 'http' : 'https';
    return new URL(`${scheme}://${apiHostOf(registry)}/v2/${repository}/${path}`);
  }

  #keyOf({ registry, repository }: ImageReference): string {
    return `${this.#login.name}\n${registry}/${repository}`;
  }

  async #authorize(demand: Omit<Demand, 'get'>): Promise<Authorization> {
    const answers: Answer[] = [];
    const get: Get = async (url, headers) => {
      const answer = await this.#send(url, { method: 'GET', headers }, demand.signal);
      answers.push(answer);
      return answer.response;
    };
    try {
      return await this.#login.authorize({ ...demand, get });
    } finally {
      for (const answer of answers) await answer[Symbol.asyncDispose]();
    }
  }

  /**
   * Redirects go to storage services: credentials stay with the origin that asked for them. What another registry has, or a
   * server that only this machine reaches, is not the source's own.
   */
  async #follow(start: URL, sent: Sent, signal: AbortSignal): Promise<Answer> {
    let url = start;
    for (let hops = 0; hops <= maxRedirects; hops++) {
      const { authorization: _, ...bare } = sent.headers;
      const answer = await this.#send(
        url,
        url.origin === start.origin ? sent : { ...sent, headers: bare },
        signal,
      );
      const location = answer.response.headers.get('location');
      if (![301, 302, 303, 307, 308].includes(answer.response.status) || location === null) return answer;
      await answer[Symbol.asyncDispose]();
      if (!URL.canParse(location, url.href)) throw unavailable(url, 'redirects to something that is no URL');
      url = new URL(location, url);
      if (url.origin !== start.origin && (url.protocol === 'http:' || isApi(url)))
        throw new AdaptletError('REGISTRY_REDIRECTS', `${start.host} leads to ${url.origin}${url.pathname}`);
    }
    throw unavailable(start, `redirects more than ${maxRedirects} times`);
  }

  async #send(url: URL, { method, headers, body }: Sent, signal: AbortSignal): Promise<Answer> {
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

  #isPlain(host: string): boolean {
    const { insecureHosts, insecureLoopback } = this.#options;
    return isPlainHttp(host, insecureHosts, insecureLoopback);
  }

  #checkScheme(url: URL): void {
    if (url.protocol === 'https:') return;
    if (url.protocol === 'http:' && this.#isPlain(url.host)) return;
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

const withAuthorization = (sent: Sent, authorization: string | undefined): Sent =>
  authorization === undefined ? sent : { ...sent, headers: { ...sent.headers, authorization } };

const watchedAnswer = (
  url: URL,
  response: Response,
  watch: ReturnType<typeof watchdog>,
  signal: AbortSignal,
): Answer => {
  const body = async function* (): AsyncGenerator<Uint8Array> {
    try {
      for await (const chunk of response.body ?? []) {
        watch.heard();
        yield chunk;
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
