import type { Clock } from '../time/clock.ts';

/** The value of an Authorization header, and how many milliseconds it is to be used for. */
export type Authorization = {
  readonly header: string;
  readonly lifetimeMs: number;
  /** It is the password itself, though it looks like a token. */
  readonly isPassword?: true;
};

/** Most authorizations that are remembered: tenants name repositories, and one per user is allowed. */
export const maxAuthorizations = 512;

type Known = {
  readonly authorization: Authorization;
  readonly since: number;
  readonly expiresAt: number;
};

/** Authorizations by credential and repository, in memory only, for their lifetime. The one that was used least lately goes first. */
export class Authorizations {
  readonly #clock: Pick<Clock, 'monotonic'>;
  /** In the order of their use. */
  readonly #known = new Map<string, Known>();

  constructor(clock: Pick<Clock, 'monotonic'>) {
    this.#clock = clock;
  }

  get size(): number {
    return this.#known.size;
  }

  /** `lifetimeMs`: what is left of it. `ageMs`: how long it is known. */
  get(key: string): (Authorization & { readonly ageMs: number }) | undefined {
    const now = this.#clock.monotonic();
    const known = this.#known.get(key);
    if (known === undefined) return undefined;
    this.#known.delete(key);
    if (known.expiresAt <= now) return undefined;
    this.#known.set(key, known);
    return { ...known.authorization, lifetimeMs: known.expiresAt - now, ageMs: now - known.since };
  }

  set(key: string, authorization: Authorization): void {
    const now = this.#clock.monotonic();
    this.#known.delete(key);
    this.#known.set(key, { authorization, since: now, expiresAt: now + authorization.lifetimeMs });
    if (this.#known.size <= maxAuthorizations) return;
    for (const [old, { expiresAt }] of this.#known) if (expiresAt <= now) this.#known.delete(old);
    for (const old of this.#known.keys()) {
      if (this.#known.size <= maxAuthorizations) break;
      this.#known.delete(old);
    }
  }

  /** The registry refuses it. */
  forget(key: string): void {
    this.#known.delete(key);
  }
}
