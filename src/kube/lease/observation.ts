import type { Clock } from '../../time/clock.ts';
import { durationOf, type Lease } from './record.ts';

/**
 * The record as another holder left it, and since when it is seen so. The times in it are never compared with our
 * clock; that a record did not change for as long as its lease lasts is what counts.
 */
export class Observation {
  readonly #clock: Clock;
  readonly #leaseMs: number;
  #lease: Lease | undefined;
  #since = 0;
  #quarantineMs: number;

  /** `leaseMs` is for records that tell no duration. */
  constructor(clock: Clock, leaseMs: number) {
    this.#clock = clock;
    this.#leaseMs = leaseMs;
    this.#quarantineMs = leaseMs;
  }

  get lease(): Lease | undefined {
    return this.#lease;
  }

  /** Milliseconds after which a holder that nobody can see has run out of its lease. */
  get quarantineMs(): number {
    return this.#quarantineMs;
  }

  /** To be called when an answer with the record came. */
  see(lease: Lease | undefined): void {
    const before = this.#lease?.metadata;
    // Revisions of a cluster come only once: also a record that was deleted and made anew has another.
    const isSame =
      before?.uid === lease?.metadata.uid && before?.resourceVersion === lease?.metadata.resourceVersion;
    if (!isSame) this.#since = this.#clock.monotonic();
    this.#lease = lease;
    if (lease !== undefined) this.#quarantineMs = Math.max(this.#leaseMs, durationOf(lease, this.#leaseMs));
  }

  /** Milliseconds until the holder's lease has run out; 0 when it has. */
  leftMs(): number {
    if (this.#lease === undefined) return 0;
    return Math.max(0, this.#since + durationOf(this.#lease, this.#leaseMs) - this.#clock.monotonic());
  }
}
