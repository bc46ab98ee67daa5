import type { Clock } from '../../time/clock.ts';
import type { Claim } from './record.ts';

/** A moment, by both clocks of this machine. */
export type Moment = { readonly monotonic: number; readonly wall: number };

export const momentOf = (clock: Clock): Moment => ({ monotonic: clock.monotonic(), wall: clock.now() });

/**
 * Share of the lease in which its holder acts. The rest is for what was begun just before the end, and for clocks that
 * do not run alike.
 */
const actingShare = 0.8;

/**
 * What a holder knows of its lease: when it asked for it last, and from when on it may act.
 *
 * The others count from when they saw the record, which is later than when the holder asked for it. So a holder that
 * counts from there is over before any other begins, however long its request or the answer took.
 */
export class Term {
  readonly #clock: Clock;
  readonly #leaseMs: number;
  readonly claim: Claim;
  /** Of the record; a record that was deleted and made anew has another one. */
  readonly uid: string;
  readonly #askedAt: Moment;
  readonly #actFrom: number;

  private constructor(
    clock: Clock,
    leaseMs: number,
    parts: { claim: Claim; uid: string; askedAt: Moment; actFrom: number },
  ) {
    this.#clock = clock;
    this.#leaseMs = leaseMs;
    this.claim = parts.claim;
    this.uid = parts.uid;
    this.#askedAt = parts.askedAt;
    this.#actFrom = parts.actFrom;
  }

  /**
   * The term after the server confirmed what was asked for at `askedAt`; to be called as soon as the answer is here.
   * @param before the term until now, if the claim had one
   * @param quarantineMs time after which the lease of an unknown holder has run out for sure
   */
  static after(
    before: Term | undefined,
    parts: { readonly claim: Claim; readonly uid: string; readonly askedAt: Moment },
    { clock, leaseMs, quarantineMs }: { clock: Clock; leaseMs: number; quarantineMs: number },
  ): Term {
    const now = clock.monotonic();
    // A record that was made anew may have had another holder in between, unless our lease goes on until now: whoever
    // made one after it was deleted waits at least as long as ours lasts.
    const goesOn = before !== undefined && (before.uid === parts.uid || !before.isOver());
    const knows = before === undefined && parts.claim.knowsBefore;
    const actFrom = goesOn ? before.#actFrom : knows ? now : now + quarantineMs;
    return new Term(clock, leaseMs, { ...parts, actFrom });
  }

  /** Milliseconds until it is over unless it is renewed; 0 when it is. */
  leftMs(): number {
    const monotonic = this.#clock.monotonic() - this.#askedAt.monotonic;
    // A machine that slept may not have counted that as monotonic. A wall clock put forward costs no more than a renewal.
    const passed = Math.max(monotonic, this.#clock.now() - this.#askedAt.wall);
    return Math.max(0, this.#leaseMs * actingShare - passed);
  }

  isOver(): boolean {
    return this.leftMs() === 0;
  }

  /** Milliseconds until the holder may act; 0 when it may. */
  waitMs(): number {
    return Math.max(0, this.#actFrom - this.#clock.monotonic());
  }
}
