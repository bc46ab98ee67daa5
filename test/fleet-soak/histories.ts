import type { RolloutStatus } from '../../src/api/rollout-status.ts';

/** What of a status decides about answers. */
export type Standing = {
  /** Milliseconds of the story at which it was seen. */
  readonly at: number;
  readonly stable: string;
  readonly canary: string;
  readonly attempt: number;
  readonly weight: number;
};

const standingOf = (at: number, { stable, canary, weights }: RolloutStatus): Standing => ({
  at,
  stable: stable?.digest ?? '',
  canary: canary?.digest ?? '',
  attempt: canary?.attempt ?? 0,
  weight: weights.canary,
});

const fields = ['stable', 'canary', 'attempt', 'weight'] as const;

/** The statuses of one rollout, as they were seen. */
export class History {
  readonly #standings: Standing[] = [];
  /** Times at which statuses may have been missed: up to each of these, since the status before. */
  readonly #gaps: { readonly from: number; readonly to: number }[] = [];
  #seenAt = 0;
  last: RolloutStatus | undefined;
  /** Of the rollout. */
  readonly uid: string;

  constructor(uid: string) {
    this.uid = uid;
  }

  add(at: number, status: RolloutStatus, isNext: boolean): void {
    if (!isNext && this.last !== undefined) this.#gaps.push({ from: this.#seenAt, to: at });
    this.#seenAt = at;
    this.last = status;
    const [standing, former] = [standingOf(at, status), this.#standings.at(-1)];
    if (former === undefined || fields.some((field) => former[field] !== standing[field]))
      this.#standings.push(standing);
  }

  get standing(): Standing | undefined {
    return this.#standings.at(-1);
  }

  /** Those that held at some moment between the two. */
  between(from: number, to: number): readonly Standing[] {
    return this.#standings.filter(
      ({ at }, i) => at <= to && (this.#standings[i + 1]?.at ?? Number.POSITIVE_INFINITY) >= from,
    );
  }

  /** Whether no status between the two can have been missed. */
  isWhole(from: number, to: number): boolean {
    return this.#gaps.every((gap) => gap.to < from || gap.from > to);
  }
}
