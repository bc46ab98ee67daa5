import { isByDigest, type Mirrors } from '../egress/mirrors.ts';
import { AdaptletError } from '../errors/adaptlet-error.ts';
import { type Authorization, Authorizations } from './authorizations.ts';
import { digestOf } from './digest.ts';
import type { CredentialsOf } from './docker-config.ts';
import { type Answer, HttpClient, type HttpOptions, readAll, type Sent } from './http-client.ts';
import { MirrorMemory } from './mirror-memory.ts';
import { apiHostOf, type ImageReference } from './reference.ts';
import { answerChallenge, denied, type Get } from './registry-auth.ts';

export type RegistryHttpOptions = HttpOptions & {
  readonly credentials: CredentialsOf;
  /** Asked before a registry for what a digest names. Absent: none. */
  readonly mirrors?: Mirrors;
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

/** What mirrors are asked for. `name`: what it is remembered by. */
type MirroredFile = { readonly hosts: readonly string[]; readonly path: string; readonly name: string };

const hasSent = ({ response }: Answer): boolean => [200, 206].includes(response.status);

/** Longest manifest of a mirror. */
const maxManifestBytes = 4 << 20;

type Headers = Readonly<Record<string, string>>;

/** Requests to registries: authentication, redirects, stalls. One attempt each; see `withRetries`. */
export class RegistryHttp {
  readonly #options: RegistryHttpOptions;
  readonly #client: HttpClient;
  readonly #login: Login;
  /** By login, registry and repository. */
  readonly #authorizations: Authorizations;
  readonly #mirrors: MirrorMemory;

  /** `login`, `authorizations`, `mirrors`: those of another, see `as`. */
  constructor(
    options: RegistryHttpOptions,
    login = ownLogin(options.credentials),
    authorizations = new Authorizations(options.clock),
    mirrors = new MirrorMemory(options.clock),
  ) {
    this.#mirrors = mirrors;
    this.#options = options;
    this.#client = new HttpClient(options);
    this.#login = login;
    this.#authorizations = authorizations;
  }

  /**
   * The same for somebody else. What is remembered is bounded for all together. `through`: how requests leave, where it is not
   * as the options say.
   */
  as(login = this.#login, through = this.#options.fetch): RegistryHttp {
    return new RegistryHttp({ ...this.#options, fetch: through }, login, this.#authorizations, this.#mirrors);
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
    const file = this.#mirroredFile(reference, path, sent);
    if (file === undefined) return await this.#fromRegistry(reference, path, sent, signal);
    const mirrored = await this.#fromMirror(reference, file, sent, signal);
    if (mirrored !== undefined) return mirrored;
    let isSent = false;
    try {
      const answer = await this.#fromRegistry(reference, path, sent, signal);
      isSent = hasSent(answer);
      return answer;
    } finally {
      if (!isSent) this.#mirrors.forget(file.name);
    }
  }

  /**
   * Undefined: mirrors are not asked for it. Only for who asks as the options say: whether the credential of a namespace reads a
   * repository is its registry's own to say.
   */
  #mirroredFile(
    { registry, repository }: ImageReference,
    path: string | URL,
    { method }: Sent,
  ): MirroredFile | undefined {
    const hosts = this.#options.mirrors?.get(registry.toLowerCase()) ?? [];
    if (hosts.length === 0 || (method !== 'GET' && method !== 'HEAD') || this.#login.name !== '')
      return undefined;
    if (path instanceof URL || !isByDigest(path)) return undefined;
    return { hosts, path, name: `${registry}/${repository}/${path}` };
  }

  /**
   * The answer of the first mirror that has it; undefined: none does. A mirror gets the credentials that are for its host, and no
   * others.
   */
  async #fromMirror(
    reference: ImageReference,
    { hosts, path, name }: MirroredFile,
    sent: Sent,
    signal: AbortSignal,
  ): Promise<Answer | undefined> {
    const { mirrors: _, ...options } = this.#options;
    const own = new RegistryHttp(options, undefined, this.#authorizations);
    const at = `${path}?ns=${encodeURIComponent(reference.registry)}`;
    const from = Number(/^bytes=(\d+)-/.exec(sent.headers['range'] ?? '')?.[1] ?? 0);
    for (const registry of this.#mirrors.of(hosts, name, from)) {
      try {
        const answer = await own.request({ ...reference, registry }, at, sent, signal);
        const isWholeManifest = sent.method === 'GET' && from === 0 && path.startsWith('manifests/');
        const checked = isWholeManifest ? await asNamed(answer, path) : answer;
        if (checked !== undefined && hasSent(checked)) {
          if (sent.method === 'GET') this.#mirrors.served(hosts, registry, name, from);
          return checked;
        }
        await answer[Symbol.asyncDispose]();
      } catch (error) {
        signal.throwIfAborted();
        // The next one, and its registry in the end, which says what is wrong.
        if (!(error instanceof AdaptletError)) throw error;
        if (error.code === 'REGISTRY_UNAVAILABLE') this.#mirrors.silent(registry);
      }
    }
    return undefined;
  }

  async #fromRegistry(
    reference: ImageReference,
    path: string | URL,
    sent: Sent,
    signal: AbortSignal,
  ): Promise<Answer> {
    const url = path instanceof URL ? path : this.#urlOf(reference, path);
    // Credentials are for the registry alone, also where it has another server take what is pushed.
    if (url.origin !== this.#urlOf(reference, '').origin) return await this.#client.follow(url, sent, signal);
    const key = this.#keyOf(reference);
    const known = this.#authorizations.get(key)?.header;
    const first = await this.#client.follow(url, withAuthorization(sent, known), signal);
    if (first.response.status !== 401) return await this.#accepted(first, reference);
    await first[Symbol.asyncDispose]();
    this.#authorizations.forget(key);
    const challenge = first.response.headers.get('www-authenticate');
    const isRefused = known !== undefined;
    const authorization = await this.#authorize({ challenge, reference, isRefused, signal });
    // Before it is known to be taken: what fails behind a redirect of the registry is no reason to ask for another one.
    this.#authorizations.set(key, authorization);
    const second = await this.#client.follow(url, withAuthorization(sent, authorization.header), signal);
    if (second.response.status === 401) {
      await second[Symbol.asyncDispose]();
      this.#authorizations.forget(key);
      throw this.#denied(reference, 'it refuses the credentials');
    }
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
    const scheme = this.#client.isPlain(registry) ? 'http' : 'https';
    return new URL(`${scheme}://${apiHostOf(registry)}/v2/${repository}/${path}`);
  }

  #keyOf({ registry, repository }: ImageReference): string {
    return `${this.#login.name}\n${registry}/${repository}`;
  }

  async #authorize(demand: Omit<Demand, 'get'>): Promise<Authorization> {
    const answers: Answer[] = [];
    const get: Get = async (url, headers, form) => {
      const answer = await this.#client.send(url, sentTo(headers, form), demand.signal);
      answers.push(answer);
      return answer.response;
    };
    try {
      return await this.#login.authorize({ ...demand, get });
    } finally {
      for (const answer of answers) await answer[Symbol.asyncDispose]();
    }
  }
}

/** The answer of a mirror, if it has the bytes that the path names; a manifest is small. */
const asNamed = async (answer: Answer, path: string): Promise<Answer | undefined> => {
  const bytes = await readAll(answer, maxManifestBytes, 'a manifest of a mirror');
  if (!path.endsWith(digestOf(bytes))) return undefined;
  const body = async function* (): AsyncGenerator<Uint8Array> {
    yield bytes;
  };
  return { ...answer, body: body() };
};

const sentTo = (headers: Headers, form: URLSearchParams | undefined): Omit<Sent, 'secret'> => {
  if (form === undefined) return { method: 'GET', headers };
  const body = new TextEncoder().encode(form.toString());
  const type = { 'content-type': 'application/x-www-form-urlencoded' };
  return { method: 'POST', headers: { ...headers, ...type }, body: () => body };
};

const withAuthorization = (sent: Sent, authorization: string | undefined): Sent =>
  authorization === undefined ? sent : { ...sent, secret: { authorization } };
