import { createHash } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { type Access, where } from '../../dashboard/handler.ts';
import { dashboardAudience, type ViewKind, type ViewScope, viewKinds } from '../../dashboard/views.ts';
import { AdaptletError, errorCodeOf } from '../../errors/adaptlet-error.ts';
import type { KubeApi } from '../../kube/client/api.ts';
import type { Clock } from '../../time/clock.ts';

/** Milliseconds that an answer of the API server counts: so long a right that was taken away still shows something. */
const freshMs = 30_000;
/** A token that was refused is not asked about again for so long. */
const refusedMs = 10_000;
/** Answers that are remembered. */
const maxRemembered = 1_000;
/** Questions under way at a time; more are refused, whoever sends them. */
const maxAsking = 32;
const maxTokenLength = 16 << 10;

/** Who it is, as the API server says and wants it back. */
type Person = {
  readonly username?: string;
  readonly uid?: string;
  readonly groups?: readonly string[];
  readonly extra?: Readonly<Record<string, readonly string[]>>;
};
type Review = {
  readonly status?: {
    readonly authenticated?: boolean;
    readonly audiences?: readonly string[];
    readonly user?: Person;
  };
};

export type ViewerParts = { readonly api: KubeApi; readonly clock: Clock };

type Known = { readonly at: number; readonly result: ReadonlySet<ViewKind> | AdaptletError };

/**
 * Asks the API server who a Bearer token belongs to, and which kinds that person may list.
 *
 * Guarantees: nothing is shown unless the API server said so within the last half minute; it is asked once at a time for a
 * token and a namespace, and about at most 32 of them at once.
 */
export class Viewers {
  readonly #api: KubeApi;
  readonly #clock: Clock;
  readonly #known = new Map<string, Known>();
  readonly #asking = new Map<string, Promise<ReadonlySet<ViewKind>>>();

  constructor({ api, clock }: ViewerParts) {
    this.#api = api;
    this.#clock = clock;
  }

  readonly access: Access = async (request, scope) => {
    const token = tokenOf(request);
    const id = createHash('sha256')
      .update(`${scope ?? ''}\n${token}`)
      .digest('base64');
    const known = this.#known.get(id);
    const age = this.#clock.monotonic() - (known?.at ?? 0);
    if (known !== undefined && age < (known.result instanceof AdaptletError ? refusedMs : freshMs)) {
      const { result } = known;
      if (result instanceof AdaptletError)
        throw new AdaptletError(result.code, result.what, { advice: result.advice });
      return result;
    }
    const asking = this.#asking.get(id);
    if (asking !== undefined) return asking;
    if (this.#asking.size >= maxAsking)
      throw new AdaptletError('REPLICA_UNAVAILABLE', 'too many people ask for the dashboard at once');
    const asked = this.#ask(id, token, scope).finally(() => this.#asking.delete(id));
    this.#asking.set(id, asked);
    return asked;
  };

  async #ask(id: string, token: string, scope: ViewScope): Promise<ReadonlySet<ViewKind>> {
    try {
      const person = await this.#personOf(token);
      const kinds = new Set<ViewKind>();
      for (const kind of viewKinds) if (await this.#may(person, kind, scope)) kinds.add(kind);
      if (kinds.size === 0)
        throw new AdaptletError(
          'VIEWER_FORBIDDEN',
          `${person.username ?? 'the owner of the token'} may list nothing of Adaptlet ${where(scope)}`,
        );
      this.#remember(id, kinds);
      return kinds;
    } catch (error) {
      const code = errorCodeOf(error);
      if (code === 'VIEWER_UNKNOWN' || code === 'VIEWER_FORBIDDEN')
        this.#remember(id, error as AdaptletError);
      throw error;
    }
  }

  /** One made for this page, or one that is good for the API server itself; never one made for runtimes or others. */
  async #personOf(token: string): Promise<Person> {
    for (const audiences of [[dashboardAudience], undefined]) {
      const { status } = await this.#post<Review>('authentication.k8s.io', 'TokenReview', 'tokenreviews', {
        token,
        ...(audiences && { audiences }),
      });
      const isMeant = audiences === undefined || status?.audiences?.includes(dashboardAudience) === true;
      if (status?.authenticated === true && isMeant && status.user !== undefined) return status.user;
    }
    throw new AdaptletError('VIEWER_UNKNOWN', 'the API server does not accept the token');
  }

  async #may({ username, uid, groups, extra }: Person, kind: ViewKind, scope: ViewScope): Promise<boolean> {
    const { status } = await this.#post<{ readonly status?: { readonly allowed?: boolean } }>(
      'authorization.k8s.io',
      'SubjectAccessReview',
      'subjectaccessreviews',
      {
        user: username,
        uid,
        groups,
        extra,
        // Without a namespace it is about all of them.
        resourceAttributes: {
          group: 'adaptlet.io',
          resource: kind,
          verb: 'list',
          ...(scope === undefined ? {} : { namespace: scope }),
        },
      },
    );
    return status?.allowed === true;
  }

  async #post<T>(group: string, kind: string, resource: string, spec: object): Promise<T> {
    const apiVersion = `${group}/v1`;
    const path = `/apis/${apiVersion}/${resource}`;
    return await this.#api.request<T>({ method: 'POST', path, body: { apiVersion, kind, spec } });
  }

  #remember(id: string, result: Known['result']): void {
    this.#known.delete(id);
    this.#known.set(id, { at: this.#clock.monotonic(), result });
    const [oldest] = this.#known.keys();
    if (this.#known.size > maxRemembered && oldest !== undefined) this.#known.delete(oldest);
  }
}

const tokenOf = (request: IncomingMessage): string => {
  const [, token = ''] = /^Bearer +(\S+)$/i.exec(request.headers.authorization ?? '') ?? [];
  if (token === '' || token.length > maxTokenLength)
    throw new AdaptletError('VIEWER_UNKNOWN', 'there is no token, or it is too long');
  return token;
};
