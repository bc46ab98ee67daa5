import type { Clock } from '../time/clock.ts';

/** The value of an Authorization header, and how many milliseconds it is to be used for. */
export type Authorization = { readonly header: string; readonly lifetimeMs: number };

/** Most repositories whose authorization is remembered: tenants name them, and one per user is allowed. */
export const maxAuthorizations = 512;

type Known = { readonly header: string; readonly expiresAt: number };

/** Authorizations by repository, in memory only, for their lifetime. The one that was used least lately goes first. */
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

  get(key: string): string | undefined {
    const known = this.#known.get(key);
    if (known === undefined) return undefined;
    this.#known.delete(key);
    if (known.expiresAt <= this.#clock.monotonic()) return undefined;
    this.#known.set(key, known);
    return known.header;
  }

  set(key: string, { header, lifetimeMs }: Authorization): void {
    const now = this.#clock.monotonic();
    this.#known.delete(key);
    this.#known.set(key, { header, expiresAt: now + lifetimeMs });
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
