import type { DeltaOutcome } from './deltas.ts';

/** How often deltas were used, or why not, since the process started. */
export class DeltaTally {
  readonly #results = new Map<string, number>();
  #savedBytes = 0;

  count(outcome: DeltaOutcome): void {
    this.#results.set(outcome.result, (this.#results.get(outcome.result) ?? 0) + 1);
    if (outcome.result === 'applied') this.#savedBytes += outcome.savedBytes;
  }

  totals(): { readonly results: Readonly<Record<string, number>>; readonly savedBytes: number } {
    return { results: Object.fromEntries(this.#results), savedBytes: this.#savedBytes };
  }
}
