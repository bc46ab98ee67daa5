import type { Digest } from '../../../api/names.ts';
import type { SplitResource } from '../../../plan/resources.ts';
import { ArmCounter } from '../../../rollout/judge/counts.ts';
import type { WeightCounts } from '../../../rollout/judge/reports.ts';
import type { SplitAtRequest } from '../../routing/decision.ts';

export type JudgedArm = 'stable' | 'canary';

/** Weights that are kept of one canary; of more the one that was counted longest ago is dropped. */
export const maxWeights = 16;
/** The same over all rollouts: a report of everything has to fit into one message. */
export const maxCounters = 512;

/** What both arms did while the canary had one weight. Whoever has feedback about it keeps it; dropped, it counts no more. */
export class WeightCounter {
  readonly weight: number;
  #seq = 0;
  #arms: Readonly<Record<JudgedArm, ArmCounter>> | undefined = {
    stable: new ArmCounter(),
    canary: new ArmCounter(),
  };
  #snapshot: WeightCounts | undefined;

  constructor(weight: number) {
    this.weight = weight;
  }

  /** Of the last change. */
  get seq(): number {
    return this.#seq;
  }

  /** False when it was dropped: nothing was counted. */
  change(seq: number, arm: JudgedArm, count: (counter: ArmCounter) => void): boolean {
    if (this.#arms === undefined) return false;
    count(this.#arms[arm]);
    this.#seq = seq;
    this.#snapshot = undefined;
    return true;
  }

  drop(): void {
    this.#arms = undefined;
    this.#snapshot = undefined;
  }

  /** The same object until something is counted. */
  snapshot(): WeightCounts | undefined {
    if (this.#arms === undefined) return undefined;
    const { stable, canary } = this.#arms;
    this.#snapshot ??= {
      weight: this.weight,
      seq: this.#seq,
      stable: stable.snapshot(),
      canary: canary.snapshot(),
    };
    return this.#snapshot;
  }
}

/** One attempt of one canary. */
type AttemptCounts = {
  readonly canaryDigest: Digest;
  readonly attempt: number;
  readonly weights: Map<number, WeightCounter>;
};

/**
 * What each arm of the rollouts did on this node, by the weight that the canary really had here: what a judge compares.
 *
 * Guarantees: only requests that were routed while the canary had requests here are counted, each once, for the arm that
 * answered or failed; `seq` grows with every change, over the whole life of this object; memory is bounded.
 */
export class SplitCounts {
  readonly #attempts = new Map<string, AttemptCounts>();
  readonly #changed: () => void;
  #seq = 0;

  /** `changed` is called with every count. */
  constructor(changed: () => void = () => undefined) {
    this.#changed = changed;
  }

  /** The result is what feedback about the answer goes to; undefined when nothing was counted. */
  answered(split: SplitAtRequest, arm: JudgedArm, ms: number): WeightCounter | undefined {
    return this.#count(split, arm, (counter, bucket) => counter.answered(bucket, ms));
  }

  failed(split: SplitAtRequest, arm: JudgedArm): void {
    this.#count(split, arm, (counter, bucket) => counter.failed(bucket));
  }

  /** `instead`: the reward that the same answer had before. */
  rewarded(counter: WeightCounter, arm: JudgedArm, bucket: number, reward: number, instead?: number): void {
    if (counter.change(this.#seq + 1, arm, (counts) => counts.rewarded(bucket, reward, instead)))
      this.#tell();
  }

  /** One for each weight at which something was counted. */
  reports(uid: string, canaryDigest: Digest | '', attempt: number): readonly WeightCounts[] {
    const kept = this.#attempts.get(uid);
    if (kept?.canaryDigest !== canaryDigest || kept.attempt !== attempt) return [];
    return [...kept.weights.values()].flatMap((counter) => counter.snapshot() ?? []);
  }

  /**
   * The rollouts of the plan in force. Another canary, or another attempt, begins with no counts. Those of the last one are
   * kept while there is none: feedback about it may still come.
   */
  follow(splits: Iterable<Pick<SplitResource['body'], 'uid' | 'canary'>>): void {
    const uids = new Set<string>();
    for (const { uid, canary } of splits) {
      uids.add(uid);
      if (canary === undefined) continue;
      const { digest: canaryDigest, attempt } = canary;
      const kept = this.#attempts.get(uid);
      if (kept?.canaryDigest === canaryDigest && kept.attempt === attempt) continue;
      this.#forget(uid);
      this.#attempts.set(uid, { canaryDigest, attempt, weights: new Map() });
    }
    for (const uid of this.#attempts.keys()) if (!uids.has(uid)) this.#forget(uid);
  }

  #count(
    { uid, canaryDigest, counted }: SplitAtRequest,
    arm: JudgedArm,
    count: (counter: ArmCounter, bucket: number) => void,
  ): WeightCounter | undefined {
    const kept = this.#attempts.get(uid);
    // What a former canary, or an attempt before this one, still answers says nothing about the present one.
    if (counted === undefined || kept?.canaryDigest !== canaryDigest || kept.attempt !== counted.attempt) {
      return undefined;
    }
    const { weight, bucket } = counted;
    const counter = kept.weights.get(weight) ?? this.#begin(kept, weight);
    counter.change(this.#seq + 1, arm, (counts) => count(counts, bucket));
    this.#tell();
    return counter;
  }

  #tell(): void {
    this.#seq += 1;
    this.#changed();
  }

  #begin(kept: AttemptCounts, weight: number): WeightCounter {
    if (kept.weights.size >= maxWeights) dropOldest([kept]);
    const attempts = [...this.#attempts.values()];
    if (attempts.reduce((sum, { weights }) => sum + weights.size, 0) >= maxCounters) dropOldest(attempts);
    const counter = new WeightCounter(weight);
    kept.weights.set(weight, counter);
    return counter;
  }

  #forget(uid: string): void {
    for (const counter of this.#attempts.get(uid)?.weights.values() ?? []) counter.drop();
    this.#attempts.delete(uid);
  }
}

/** The counter that was changed longest ago. */
const dropOldest = (attempts: readonly AttemptCounts[]): void => {
  const all = attempts.flatMap(({ weights }) =>
    [...weights.values()].map((counter) => ({ weights, counter })),
  );
  const oldest = all.reduce((a, b) => (b.counter.seq < a.counter.seq ? b : a));
  oldest.weights.delete(oldest.counter.weight);
  oldest.counter.drop();
};
