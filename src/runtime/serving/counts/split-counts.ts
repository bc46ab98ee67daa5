import type { Digest } from '../../../api/names.ts';
import { AdaptletError } from '../../../errors/adaptlet-error.ts';
import type { SplitResource } from '../../../plan/resources.ts';
import { ArmCounter } from '../../../rollout/judge/counts.ts';
import type { WeightCounts } from '../../../rollout/judge/reports.ts';
import { RewardedNumbers } from '../../../rollout/judge/rewarded.ts';
import type { ToldReward } from '../../../rollout/judge/told-rewards.ts';
import type { SplitAtRequest } from '../../routing/decision.ts';

export type JudgedArm = 'stable' | 'canary';

/** Weights that are kept of one canary; of more the one that was counted longest ago is dropped. */
export const maxWeights = 16;
/** The same over all rollouts: a report of everything has to fit into one message. */
export const maxCounters = 512;
/** Bytes of all of them that say whose feedback is counted: as much as 256 counters need that have most of it. */
const maxRewardedBytes = 2 << 20;

/** What both arms did while the canary had one weight. Dropped, it counts no more. */
export class WeightCounter {
  readonly weight: number;
  #seq: number;
  #isEmpty = true;
  #arms: Readonly<Record<JudgedArm, ArmCounter>> | undefined = {
    stable: new ArmCounter(),
    canary: new ArmCounter(),
  };
  readonly #rewarded = new RewardedNumbers();
  #snapshot: WeightCounts | undefined;

  /** `seq`: of the last change of any other. */
  constructor(weight: number, seq: number) {
    this.weight = weight;
    this.#seq = seq;
  }

  /** Of the last change. */
  get seq(): number {
    return this.#seq;
  }

  /** What it takes to know whose feedback is counted. */
  get rewardedBytes(): number {
    return this.#rewarded.bits.length;
  }

  /** False when it was dropped: nothing was counted. */
  change(seq: number, arm: JudgedArm, count: (counter: ArmCounter) => void): boolean {
    if (this.#arms === undefined) return false;
    count(this.#arms[arm]);
    this.#isEmpty = false;
    this.#seq = seq;
    this.#snapshot = undefined;
    return true;
  }

  /** Whether a reward for the answer with this number is counted. Undefined: that is not known any more. */
  wasRewarded(number: number): boolean | undefined {
    return this.#rewarded.has(number);
  }

  markRewarded(number: number): void {
    this.#rewarded.add(number);
  }

  drop(): void {
    this.#arms = undefined;
    this.#snapshot = undefined;
  }

  /** The same object until something is counted. Undefined: nothing is. */
  snapshot(): WeightCounts | undefined {
    if (this.#arms === undefined || this.#isEmpty) return undefined;
    if (this.#snapshot !== undefined) return this.#snapshot;
    const { stable, canary } = this.#arms;
    const rewarded = this.#rewarded.snapshot();
    this.#snapshot = {
      weight: this.weight,
      seq: this.#seq,
      stable: stable.snapshot(),
      canary: canary.snapshot(),
      ...(rewarded === undefined ? {} : { rewarded }),
    };
    return this.#snapshot;
  }
}

/** One attempt of one canary. */
type AttemptCounts = {
  readonly canaryDigest: Digest;
  readonly attempt: number;
  readonly weights: Map<number, WeightCounter>;
  /** By weight: the counts of answers with lower numbers were dropped. */
  readonly gone: Map<number, number>;
  /** Lower ones are of a time before this attempt came, or came back. */
  readonly firstNumber: number;
  /** Of the next answer. */
  nextNumber: number;
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
  /** No attempt that is forgotten had higher ones. */
  #firstNumber = 0;

  /** `changed` is called with every count. */
  constructor(changed: () => void = () => undefined) {
    this.#changed = changed;
  }

  answered(split: SplitAtRequest, arm: JudgedArm, ms: number): void {
    this.#count(split, arm, (counter, bucket) => counter.answered(bucket, ms));
  }

  failed(split: SplitAtRequest, arm: JudgedArm): void {
    this.#count(split, arm, (counter, bucket) => counter.failed(bucket));
  }

  /**
   * Of an answer that begins: none of the same attempt has the same. From here on feedback about it can be counted.
   * Undefined: the answer is not counted.
   */
  number(split: SplitAtRequest): number | undefined {
    const kept = this.#attemptOf(split);
    if (kept === undefined || split.counted === undefined) return undefined;
    this.#counterAt(kept, split.counted.weight);
    return kept.nextNumber++;
  }

  /** What an answer of this process is counted in. Gone: in nothing any more. Undefined: there is no such answer. */
  counterOf(uid: string, weight: number, number: number): WeightCounter | 'Gone' | undefined {
    const kept = this.#attempts.get(uid);
    if (kept === undefined || number >= kept.nextNumber) return undefined;
    if (number < Math.max(kept.firstNumber, kept.gone.get(weight) ?? 0)) return 'Gone';
    return kept.weights.get(weight);
  }

  /**
   * `instead`: the reward that the same answer had before.
   * @throws FEEDBACK_FULL
   */
  rewarded(
    counter: WeightCounter,
    { arm, bucket, number }: Omit<ToldReward, 'reward'>,
    reward: number,
    instead?: number,
  ): void {
    if (instead === undefined) this.#checkRoom();
    counter.markRewarded(number);
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
   * As {@link RolloutCounts.follow}. Another canary, or another attempt, begins with no counts. Those of the last one are
   * kept while there is none: feedback about it may still come.
   */
  follow(put: Iterable<Pick<SplitResource['body'], 'uid' | 'canary'>>, gone: Iterable<string> = []): void {
    for (const uid of gone) this.#forget(uid);
    for (const { uid, canary } of put) {
      if (canary === undefined) continue;
      const { digest: canaryDigest, attempt } = canary;
      const kept = this.#attempts.get(uid);
      if (kept?.canaryDigest === canaryDigest && kept.attempt === attempt) continue;
      this.#forget(uid);
      const numbers = { firstNumber: this.#firstNumber, nextNumber: this.#firstNumber };
      this.#attempts.set(uid, { canaryDigest, attempt, weights: new Map(), gone: new Map(), ...numbers });
    }
  }

  /** Undefined: what a former canary, or an attempt before this one, still answers says nothing about the present one. */
  #attemptOf({ uid, canaryDigest, counted }: SplitAtRequest): AttemptCounts | undefined {
    const kept = this.#attempts.get(uid);
    if (counted === undefined || kept?.canaryDigest !== canaryDigest || kept.attempt !== counted.attempt)
      return undefined;
    return kept;
  }

  #count(split: SplitAtRequest, arm: JudgedArm, count: (counter: ArmCounter, bucket: number) => void): void {
    const kept = this.#attemptOf(split);
    if (kept === undefined || split.counted === undefined) return;
    const { weight, bucket } = split.counted;
    const counter = this.#counterAt(kept, weight);
    counter.change(this.#seq + 1, arm, (counts) => count(counts, bucket));
    this.#tell();
  }

  #tell(): void {
    this.#seq += 1;
    this.#changed();
  }

  #counterAt(kept: AttemptCounts, weight: number): WeightCounter {
    const known = kept.weights.get(weight);
    if (known !== undefined) return known;
    if (kept.weights.size >= maxWeights) dropOldest([kept]);
    const counters = this.#counters();
    if (counters.length >= maxCounters) dropOldest([...this.#attempts.values()]);
    const counter = new WeightCounter(weight, this.#seq);
    kept.weights.set(weight, counter);
    return counter;
  }

  #counters(): readonly WeightCounter[] {
    return [...this.#attempts.values()].flatMap(({ weights }) => [...weights.values()]);
  }

  #checkRoom(): void {
    const bytes = this.#counters().reduce((sum, { rewardedBytes }) => sum + rewardedBytes, 0);
    if (bytes < maxRewardedBytes) return;
    throw new AdaptletError(
      'FEEDBACK_FULL',
      `this runtime remembers in ${maxRewardedBytes} bytes which of its answers had feedback, and they are full`,
    );
  }

  #forget(uid: string): void {
    const { weights = new Map<number, WeightCounter>(), nextNumber = 0 } = this.#attempts.get(uid) ?? {};
    for (const counter of weights.values()) counter.drop();
    this.#firstNumber = Math.max(this.#firstNumber, nextNumber);
    this.#attempts.delete(uid);
  }
}

/** The counter that was changed longest ago. */
const dropOldest = (attempts: readonly AttemptCounts[]): void => {
  const all = attempts.flatMap((attempt) =>
    [...attempt.weights.values()].map((counter) => ({ attempt, counter })),
  );
  const { attempt, counter } = all.reduce((a, b) => (b.counter.seq < a.counter.seq ? b : a));
  attempt.weights.delete(counter.weight);
  attempt.gone.set(counter.weight, attempt.nextNumber);
  counter.drop();
};
