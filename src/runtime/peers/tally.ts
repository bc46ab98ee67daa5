import type { PeerOutcome } from '../../artifact/peer-blobs.ts';

/** Bytes that came and went, and runtimes that were set aside, since the process started. */
export type PeerTotals = {
  /** Of blobs that came, by where from. */
  readonly came: { readonly peer: number; readonly source: number };
  readonly sent: number;
  readonly aside: { readonly away: number; readonly liar: number };
};

export class PeerTally {
  readonly #came = { peer: 0, source: 0 };
  readonly #aside = { away: 0, liar: 0 };
  #sent = 0;

  count(outcome: PeerOutcome): void {
    if (outcome.result === 'peer' || outcome.result === 'source') this.#came[outcome.result] += outcome.bytes;
    else this.#aside[outcome.result] += 1;
  }

  sent(bytes: number): void {
    this.#sent += bytes;
  }

  totals(): PeerTotals {
    return { came: { ...this.#came }, sent: this.#sent, aside: { ...this.#aside } };
  }
}
