import type { Verdict } from './compare.ts';
import type { Asked } from './reference.ts';

/** What was wrong, with all that is needed to repeat it. */
export type Failure = {
  readonly kind: 'different answer' | 'unexpected error' | 'the engine ended by itself' | 'probe';
  readonly what: string;
  readonly details: Readonly<Record<string, unknown>>;
};

/** What happened in a soak. */
export class Report {
  readonly model: string;
  readonly seed: number;
  readonly epsilon: number;
  readonly counts = {
    /** Requests that were sent, and how they ended. */
    requests: 0,
    finished: 0,
    cancelled: 0,
    lostByKill: 0,
    queueFull: 0,
    promptTooLong: 0,
    /** Finished answers that were compared, and beginnings of cancelled and lost ones. */
    greedyCompared: 0,
    sampledCompared: 0,
    beginningsCompared: 0,
    tokensCompared: 0,
    nearTies: 0,
    /** Those that took their time, those of conversations, those without an adapter. */
    slowReaders: 0,
    turns: 0,
    /** Answers for which keys and values of an earlier turn were used. */
    prefixesReused: 0,
    ofBase: 0,
    loads: 0,
    unloads: 0,
    /** Unloads while answers of that adapter were on their way. */
    unloadsInUse: 0,
    memoryFull: 0,
    probes: 0,
    kills: 0,
    /** Changes of the weight of a rollout, of a whole node. */
    switches: 0,
    /** Of a whole node: answers of a rollout's canary, and evictions that were ordered. */
    ofCanary: 0,
    evictions: 0,
    /** Largest number of requests at a time. */
    mostAtOnce: 0,
  };
  /** Share of different answers among all pairs of adapters, on a quiet engine. */
  different = 0;
  /** Of near ties, in nats. */
  readonly distances: number[] = [];
  readonly failures: Failure[] = [];

  constructor(model: string, seed: number, epsilon: number) {
    this.model = model;
    this.seed = seed;
    this.epsilon = epsilon;
  }

  /** Finished answers that were compared. */
  get compared(): number {
    return this.counts.greedyCompared + this.counts.sampledCompared;
  }
  /** Share of everything compared. */
  get nearTieShare(): number {
    return this.counts.nearTies / Math.max(1, this.compared + this.counts.beginningsCompared);
  }

  count(
    verdict: Verdict,
    asked: Asked,
    received: { readonly ids: readonly number[]; readonly isWhole: boolean },
  ): void {
    const { counts } = this;
    counts.tokensCompared += verdict.kind === 'same' ? received.ids.length : verdict.at;
    if (!received.isWhole) counts.beginningsCompared += 1;
    else if (asked.sampling.temperature === 0) counts.greedyCompared += 1;
    else counts.sampledCompared += 1;
    if (verdict.kind !== 'nearTie') return;
    counts.nearTies += 1;
    this.distances.push(verdict.distance);
  }

  fail(failure: Failure): void {
    this.failures.push(failure);
  }

  toJSON(): object {
    const { model, seed, epsilon, different, counts, compared, nearTieShare, failures } = this;
    const sorted = this.distances.toSorted((a, b) => a - b);
    const nearTie = { median: sorted[Math.floor(sorted.length / 2)] ?? 0, most: sorted.at(-1) ?? 0 };
    return { model, seed, epsilon, different, ...counts, compared, nearTieShare, nearTie, failures };
  }
}
