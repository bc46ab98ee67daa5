import type { Digest } from '../../../api/names.ts';
import { AdaptletError } from '../../../errors/adaptlet-error.ts';
import type { SplitResource } from '../../../plan/resources.ts';
import { maxElsewhere } from '../../../rollout/judge/elsewhere.ts';
import { type Elsewhere, placeOf, type ToldReward } from '../../../rollout/judge/told-rewards.ts';

/** The same over all rollouts. */
const maxElsewhereInAll = 65_536;

/** What was told of the answers of one process at one weight. */
class Place {
  readonly origin: string;
  readonly weight: number;
  readonly #rewards = new Map<number, ToldReward>();
  #seq = 0;
  #snapshot: Elsewhere | undefined;

  constructor(origin: string, weight: number) {
    this.origin = origin;
    this.weight = weight;
  }

  rewardOf(number: number): number | undefined {
    return this.#rewards.get(number)?.reward;
  }

  set(seq: number, reward: ToldReward): void {
    this.#rewards.set(reward.number, reward);
    this.#seq = seq;
    this.#snapshot = undefined;
  }

  /** The same object until something is told. */
  snapshot(): Elsewhere {
    const { origin, weight } = this;
    this.#snapshot ??= { origin, weight, seq: this.#seq, rewards: [...this.#rewards.values()] };
    return this.#snapshot;
  }
}

type Trial = {
  readonly canaryDigest: Digest;
  readonly attempt: number;
  readonly places: Map<string, Place>;
  size: number;
};

/** An answer of another process, of the present attempt of a canary. */
type ElsewhereAnswer = Omit<ToldReward, 'reward'> & {
  readonly uid: string;
  readonly origin: string;
  readonly weight: number;
};

/**
 * Rewards for answers that this process did not give. They are not in its counts: whoever judges counts them where the answer
 * was given, and once, however many runtimes were told.
 */
export class ElsewhereRewards {
  readonly #trials = new Map<string, Trial>();
  readonly #changed: () => void;
  #size = 0;
  #seq = 0;

  /** `changed` is called with every reward that is new or another one. */
  constructor(changed: () => void = () => undefined) {
    this.#changed = changed;
  }

  /**
   * The result is the reward that the answer had before.
   * @throws FEEDBACK_FULL
   */
  tell({ uid, origin, weight, ...answer }: ElsewhereAnswer, reward: number): number | undefined {
    const trial = this.#trials.get(uid);
    if (trial === undefined) return undefined;
    const key = placeOf(origin, weight);
    const place = trial.places.get(key) ?? new Place(origin, weight);
    const before = place.rewardOf(answer.number);
    if (before === reward) return before;
    if (before === undefined) {
      this.#checkRoom(trial);
      trial.size += 1;
      this.#size += 1;
    }
    trial.places.set(key, place);
    this.#seq += 1;
    place.set(this.#seq, { ...answer, reward });
    this.#changed();
    return before;
  }

  /** One for each process and weight. */
  reports(uid: string, canaryDigest: Digest | '', attempt: number): readonly Elsewhere[] {
    const trial = this.#trials.get(uid);
    if (trial?.canaryDigest !== canaryDigest || trial.attempt !== attempt) return [];
    return [...trial.places.values()].map((place) => place.snapshot());
  }

  /** As {@link RolloutCounts.follow}. As for counts: those of the last canary stay while there is none. */
  follow(put: Iterable<Pick<SplitResource['body'], 'uid' | 'canary'>>, gone: Iterable<string> = []): void {
    for (const uid of gone) this.#forget(uid);
    for (const { uid, canary } of put) {
      if (canary === undefined) continue;
      const { digest: canaryDigest, attempt } = canary;
      const kept = this.#trials.get(uid);
      if (kept?.canaryDigest === canaryDigest && kept.attempt === attempt) continue;
      this.#forget(uid);
      this.#trials.set(uid, { canaryDigest, attempt, places: new Map(), size: 0 });
    }
  }

  #checkRoom({ size }: Trial): void {
    if (size < maxElsewhere && this.#size < maxElsewhereInAll) return;
    const [most, whose] =
      size >= maxElsewhere
        ? [maxElsewhere, 'of this attempt of a canary']
        : [maxElsewhereInAll, 'of all rollouts'];
    throw new AdaptletError(
      'FEEDBACK_FULL',
      `this runtime keeps feedback about ${most} answers of others ${whose}, and has that many`,
    );
  }

  #forget(uid: string): void {
    this.#size -= this.#trials.get(uid)?.size ?? 0;
    this.#trials.delete(uid);
  }
}
