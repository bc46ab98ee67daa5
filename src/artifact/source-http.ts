import { AdaptletError } from '../errors/adaptlet-error.ts';
import type { Clock } from '../time/clock.ts';
import type { Authorization } from './authorizations.ts';
import type { Answer, HttpClient } from './http-client.ts';

/** Who asks for a source that is no registry: a header out of a Secret, or out of a file of the administrator. */
export type SourceCredential = {
  /** Name of the header. */
  readonly name: string;
  /**
   * Its value; undefined: there is none now. `isRefused`: the one of before is no longer taken.
   * @throws PULL_SECRET, PULL_CREDENTIAL_AWAITED, CREDENTIALS_INVALID
   */
  readonly value: (isRefused: boolean, signal: AbortSignal) => Promise<Authorization | undefined>;
  /** What to throw where the value is refused. Default: REGISTRY_DENIED, as it comes. */
  readonly explained?: (denial: AdaptletError) => AdaptletError;
};

/** Requests for one source, as whoever may read it. */
export class SourceHttp {
  readonly #client: HttpClient;
  readonly #credential: SourceCredential | undefined;
  readonly #clock: Pick<Clock, 'monotonic'>;
  #known: { readonly header: string; readonly until: number } | undefined;

  constructor(client: HttpClient, credential: SourceCredential | undefined, clock: Pick<Clock, 'monotonic'>) {
    this.#client = client;
    this.#credential = credential;
    this.#clock = clock;
  }

  /**
   * GET. Answers with any status below 500 but 401, 403 and 429. The credential goes to the origin of `url`, and to none that it leads to.
   * @throws REGISTRY_DENIED, REGISTRY_INSECURE, REGISTRY_REDIRECTS, REGISTRY_UNAVAILABLE, EGRESS_DENIED, and what the credential throws
   */
  async get(url: URL, headers: Readonly<Record<string, string>>, signal: AbortSignal): Promise<Answer> {
    const credential = this.#credential;
    let status = 0;
    for (const isRefused of credential === undefined ? [false] : [false, true]) {
      const secret = credential === undefined ? {} : await this.#secret(credential, isRefused, signal);
      const answer = await this.#client.follow(url, { method: 'GET', headers, secret }, signal);
      status = answer.response.status;
      if (status !== 401 && status !== 403) return answer;
      await answer[Symbol.asyncDispose]();
    }
    const why = credential === undefined ? 'and the source names no credential' : 'with its credential';
    const denial = new AdaptletError(
      'REGISTRY_DENIED',
      `${url.origin}${url.pathname} answered ${status}, ${why}`,
    );
    throw credential?.explained?.(denial) ?? denial;
  }

  async #secret(
    { name, value }: SourceCredential,
    isRefused: boolean,
    signal: AbortSignal,
  ): Promise<Readonly<Record<string, string>>> {
    if (isRefused || (this.#known?.until ?? 0) <= this.#clock.monotonic()) {
      const found = await value(isRefused, signal);
      this.#known = found && {
        header: found.header,
        until: this.#clock.monotonic() + found.lifetimeMs,
      };
    }
    return this.#known === undefined ? {} : { [name]: this.#known.header };
  }
}
