import type { Clock } from '../../time/clock.ts';

export type RenewalOptions = {
  readonly clock: Clock;
  /** False: there is nobody to ask; `begin` is called once there is. */
  readonly isConnected: () => boolean;
  /** Gets the next one. Resolves to the milliseconds after which that is due again. */
  readonly renew: () => Promise<number>;
  readonly failed: (error: unknown) => void;
  /** Milliseconds until it is tried again after a failure. */
  readonly retryMs: number;
};

/** A certificate of the operator, which is asked for at each stream and again in time. */
export class Renewal {
  readonly #options: RenewalOptions;
  #begun: Promise<void> = Promise.resolve();
  #stopTimer = (): void => undefined;
  #isClosed = false;

  constructor(options: RenewalOptions) {
    this.#options = options;
  }

  /** Settles once the operator has answered what was asked last, but for what was asked in time. */
  get begun(): Promise<void> {
    return this.#begun;
  }

  begin(): void {
    this.#begun = this.#renew();
  }

  close(): void {
    this.#isClosed = true;
    this.#stopTimer();
  }

  /** Never throws. */
  async #renew(): Promise<void> {
    const { clock, isConnected, renew, failed, retryMs } = this.#options;
    this.#stopTimer();
    if (!isConnected()) return;
    let nextMs = retryMs;
    try {
      nextMs = await renew();
    } catch (error) {
      failed(error);
    }
    this.#stopTimer();
    if (!this.#isClosed) this.#stopTimer = clock.after(nextMs, () => void this.#renew());
  }
}
