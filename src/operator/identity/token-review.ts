import { createHash } from 'node:crypto';
import { AdaptletError, errorCodeOf } from '../../errors/adaptlet-error.ts';
import type { KubeApi } from '../../kube/client/api.ts';
import type { Log } from '../../telemetry/log.ts';
import type { Clock } from '../../time/clock.ts';

/** Whom a token belongs to, as the API server says. '' for what it does not say. */
export type TokenIdentity = {
  readonly namespace: string;
  readonly serviceAccount: string;
  readonly pod: string;
  readonly podUid: string;
  readonly node: string;
  readonly nodeUid: string;
};

/** Audience that a token must have been made for. */
export const audience = 'adaptlet';

/** Milliseconds that a review counts; never longer than the token. */
const freshMs = 60_000;
/** While the API server does not answer, a review counts so long. */
const staleMs = 300_000;
/** A token that was refused is not asked about again for so long. */
const refusedMs = 10_000;
/** A token is not used for its last moments. */
const marginMs = 5_000;
/** Most accepted tokens that are remembered, and most refused ones; the oldest review gives way. */
const maxRemembered = 20_000;
/** Longest token. */
const maxTokenLength = 16 << 10;

type Known<Result> = {
  /** Monotonic times. */
  readonly reviewedAt: number;
  readonly endsAt: number;
  readonly result: Result;
};

export type TokenReviewOptions = { readonly api: KubeApi; readonly clock: Clock; readonly logger: Log };

/**
 * Asks the API server whom ServiceAccount tokens belong to.
 *
 * Guarantees: one question at a time for a token; tokens are kept as hashes only; an answer counts for a minute, and
 * for five while the API server does not answer, but never longer than the token itself.
 */
export class TokenReviews {
  readonly #api: KubeApi;
  readonly #clock: Clock;
  readonly #logger: Log;
  readonly #accepted = new Map<string, Known<TokenIdentity>>();
  /** Apart: tokens that strangers make up push out no others. */
  readonly #refused = new Map<string, Known<AdaptletError>>();
  readonly #asked = new Map<string, Promise<TokenIdentity>>();
  readonly #counts = { asked: 0, refused: 0, failed: 0, stale: 0 };

  constructor({ api, clock, logger }: TokenReviewOptions) {
    this.#api = api;
    this.#clock = clock;
    this.#logger = logger;
  }

  gauges(): Readonly<{ asked: number; refused: number; failed: number; stale: number }> {
    return { ...this.#counts };
  }

  /** Whether a review is answered without a question to the API server. */
  isKnown(token: string): boolean {
    return isNone(token) || this.#freshOf(hashOf(token)) !== undefined;
  }

  /** Whether the last review accepted the token, however long ago, and it is not over: no stranger has it. */
  wasAccepted(token: string): boolean {
    const accepted = this.#accepted.get(hashOf(token));
    return accepted !== undefined && this.#clock.monotonic() < accepted.endsAt;
  }

  /** @throws RUNTIME_UNAUTHENTICATED; REPLICA_UNAVAILABLE when the API server cannot be asked */
  async review(token: string): Promise<TokenIdentity> {
    if (isNone(token)) {
      throw new AdaptletError('RUNTIME_UNAUTHENTICATED', 'there is no token, or it is too long');
    }
    const hash = hashOf(token);
    const fresh = this.#freshOf(hash);
    if (fresh !== undefined) return answerOf(fresh);
    const asked = this.#asked.get(hash) ?? this.#ask(token, hash).finally(() => this.#asked.delete(hash));
    this.#asked.set(hash, asked);
    return asked;
  }

  #freshOf(hash: string): TokenIdentity | AdaptletError | undefined {
    return (
      this.#within(freshMs, this.#accepted.get(hash)) ?? this.#within(refusedMs, this.#refused.get(hash))
    );
  }

  /** What a review said, so many milliseconds ago at most. */
  #within<Result>(ms: number, known: Known<Result> | undefined): Result | undefined {
    const now = this.#clock.monotonic();
    return known !== undefined && now < known.endsAt && now - known.reviewedAt < ms
      ? known.result
      : undefined;
  }

  async #ask(token: string, hash: string): Promise<TokenIdentity> {
    this.#counts.asked += 1;
    let status: ReviewStatus | undefined;
    try {
      const review = await this.#api.request<{ readonly status?: ReviewStatus }>({
        method: 'POST',
        path: '/apis/authentication.k8s.io/v1/tokenreviews',
        body: {
          apiVersion: 'authentication.k8s.io/v1',
          kind: 'TokenReview',
          spec: { token, audiences: [audience] },
        },
      });
      status = review.status;
    } catch (error) {
      this.#counts.failed += 1;
      const stale = this.#within(staleMs, this.#accepted.get(hash));
      if (stale !== undefined) {
        this.#counts.stale += 1;
        this.#logger.warn(
          { err: error, pod: stale.pod },
          'the API server cannot review a token; its last answer still counts',
        );
        return stale;
      }
      throw new AdaptletError(
        'REPLICA_UNAVAILABLE',
        `the API server cannot review the token: ${errorCodeOf(error)}`,
        {
          cause: error,
        },
      );
    }
    const result = identityOf(status);
    const reviewedAt = this.#clock.monotonic();
    const endsAt = reviewedAt + lifeLeft(token, this.#clock.now()) - marginMs;
    this.#accepted.delete(hash);
    this.#refused.delete(hash);
    if (result instanceof AdaptletError) {
      this.#counts.refused += 1;
      remember(this.#refused, hash, { reviewedAt, endsAt, result });
    } else remember(this.#accepted, hash, { reviewedAt, endsAt, result });
    return answerOf(result);
  }
}

/** As the newest. */
const remember = <Value>(reviews: Map<string, Value>, hash: string, known: Value): void => {
  reviews.set(hash, known);
  for (const oldest of reviews.keys()) {
    if (reviews.size <= maxRemembered) break;
    reviews.delete(oldest);
  }
};

const isNone = (token: string): boolean => token === '' || token.length > maxTokenLength;
const hashOf = (token: string): string => createHash('sha256').update(token).digest('base64');

const answerOf = (result: TokenIdentity | AdaptletError): TokenIdentity => {
  // A new error each time: its stack is the caller's.
  if (result instanceof AdaptletError)
    throw new AdaptletError(result.code, result.what, { advice: result.advice });
  return result;
};

type ReviewStatus = {
  readonly authenticated?: boolean;
  readonly error?: string;
  readonly audiences?: readonly string[];
  readonly user?: {
    readonly username?: string;
    readonly extra?: Readonly<Record<string, readonly string[]>>;
  };
};

const identityOf = (status: ReviewStatus | undefined): TokenIdentity | AdaptletError => {
  if (status?.authenticated !== true) {
    return new AdaptletError(
      'RUNTIME_UNAUTHENTICATED',
      `the API server does not accept the token${status?.error === undefined ? '' : `: ${status.error.slice(0, 300)}`}`,
    );
  }
  // An API server that knows no audiences answers without them: such a token may have been made for anybody.
  if (status.audiences?.includes(audience) !== true) {
    return new AdaptletError('RUNTIME_UNAUTHENTICATED', `the token is not for the audience ${audience}`);
  }
  const { username = '', extra = {} } = status.user ?? {};
  const [, namespace, serviceAccount] = /^system:serviceaccount:([^:]+):([^:]+)$/.exec(username) ?? [];
  if (namespace === undefined || serviceAccount === undefined) {
    return new AdaptletError('RUNTIME_UNAUTHENTICATED', 'the token is not that of a ServiceAccount');
  }
  const value = (name: string): string => {
    const values = extra[`authentication.kubernetes.io/${name}`] ?? [];
    return values.length === 1 ? (values[0] ?? '') : '';
  };
  return {
    namespace,
    serviceAccount,
    pod: value('pod-name'),
    podUid: value('pod-uid'),
    node: value('node-name'),
    nodeUid: value('node-uid'),
  };
};

/** Milliseconds until the token ends, as it says itself; the API server has verified it. 0 when it does not say. */
const lifeLeft = (token: string, now: number): number => {
  try {
    const [, payload = ''] = token.split('.');
    const { exp } = JSON.parse(Buffer.from(payload, 'base64url').toString('utf8')) as { exp?: unknown };
    return typeof exp === 'number' ? Math.max(0, exp * 1000 - now) : 0;
  } catch {
    // Not a JWT: it is asked about each time.
    return 0;
  }
};
