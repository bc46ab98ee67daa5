import type { Digest } from '../../../api/names.ts';
import type { Clock } from '../../../time/clock.ts';
import { type Breaker, type End, ended, isDue, newBreaker, reopened, tried } from './breaker.ts';

const idOf = (rolloutUid: string, digest: Digest): string => `${rolloutUid} ${digest}`;

type Kept = { readonly rolloutUid: string; readonly digest: Digest; breaker: Breaker };

/** The circuit breakers of what answers for stable: stable itself, or the one before it. */
export class StableBreakers {
  readonly #kept = new Map<string, Kept>();
  readonly #clock: Clock;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** It was held when the runtime ended. */
  reopen(rolloutUid: string, digest: Digest): void {
    this.#set(rolloutUid, digest, reopened(this.#clock.monotonic()));
  }

  /** True when it was taken out of service and may be tried now. */
  isDue(rolloutUid: string, digest: Digest): boolean {
    const breaker = this.#kept.get(idOf(rolloutUid, digest))?.breaker;
    return breaker !== undefined && isDue(breaker, this.#clock.monotonic());
  }

  /** A request is given to it. True when it was taken out of service: the request is a trial. */
  given(rolloutUid: string, digest: Digest): boolean {
    const kept = this.#kept.get(idOf(rolloutUid, digest));
    if (kept?.breaker.kind !== 'open') return false;
    kept.breaker = tried(kept.breaker, this.#clock.monotonic());
    return true;
  }

  /** Counts the end of a request; says what became of it by that. */
  ended(rolloutUid: string, digest: Digest, end: End, limit: number): 'opened' | 'closed' | 'same' {
    const now = this.#clock.monotonic();
    const before = this.#kept.get(idOf(rolloutUid, digest))?.breaker ?? newBreaker(now);
    const next = ended(before, end, limit, now);
    if (next !== before) this.#set(rolloutUid, digest, next);
    if (next.kind === before.kind) return 'same';
    return next.kind === 'open' ? 'opened' : 'closed';
  }

  /** Forgets those of which this is false. */
  keep(isKept: (rolloutUid: string, digest: Digest) => boolean): void {
    for (const [id, { rolloutUid, digest }] of this.#kept)
      if (!isKept(rolloutUid, digest)) this.#kept.delete(id);
  }

  #set(rolloutUid: string, digest: Digest, breaker: Breaker): void {
    this.#kept.set(idOf(rolloutUid, digest), { rolloutUid, digest, breaker });
  }
}
