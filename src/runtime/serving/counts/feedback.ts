import type { Digest } from '../../../api/names.ts';
import { AdaptletError } from '../../../errors/adaptlet-error.ts';
import { quoteUntrusted } from '../../../errors/quote-untrusted.ts';
import type { RecordedFeedback } from '../serving.ts';
import type { JudgedArm, SplitCounts, WeightCounter } from './split-counts.ts';

/** Answers that feedback is taken for: the newest. */
export const maxAnswers = 65_536;

/** An answer of a rollout. */
export type RolloutAnswer = {
  readonly uid: string;
  readonly namespace: string;
  readonly rollout: string;
  readonly arm: JudgedArm;
  readonly digest: Digest;
  /** What it was counted in; undefined when the canary had no requests here. */
  readonly counter: WeightCounter | undefined;
  readonly bucket: number;
};

type Remembered = RolloutAnswer & { reward: number | undefined };

/**
 * Which answers feedback can be about, and what it was.
 *
 * Guarantees: one reward counts for an answer, the last one, at the weight and for the arm that answered; giving it again
 * changes nothing; memory is bounded.
 */
export class Feedback {
  readonly #splits: SplitCounts;
  readonly #answers = new Map<string, Remembered>();
  /** Their ids in a ring, where the next one takes the place of the oldest: a Map finds its first entry slowly. */
  readonly #ids: string[] = [];
  #next = 0;
  #uids: ReadonlySet<string> = new Set();

  constructor(splits: SplitCounts) {
    this.#splits = splits;
  }

  /** Answers that are kept. */
  get size(): number {
    return this.#answers.size;
  }

  /** `id`: of the request, as its answer carries it. */
  answered(id: string, answer: RolloutAnswer): void {
    const { uid, namespace, rollout, arm, digest, counter, bucket } = answer;
    if (!this.#uids.has(uid)) return;
    const oldest = this.#ids[this.#next];
    if (oldest !== undefined) this.#answers.delete(oldest);
    this.#ids[this.#next] = id;
    this.#next = (this.#next + 1) % maxAnswers;
    this.#answers.set(id, { uid, namespace, rollout, arm, digest, counter, bucket, reward: undefined });
  }

  /** @throws FEEDBACK_UNKNOWN, also for an answer of a namespace that is not allowed */
  record(
    id: string,
    reward: number,
    isAllowed: (namespace: string) => boolean = () => true,
  ): RecordedFeedback {
    const answer = this.#answers.get(id);
    if (answer === undefined || !isAllowed(answer.namespace)) {
      throw new AdaptletError(
        'FEEDBACK_UNKNOWN',
        `no rollout of this runtime gave the answer ${quoteUntrusted(id)}, or it is not among the last ${maxAnswers} answers`,
      );
    }
    const { rollout, arm, digest, counter, bucket, reward: before } = answer;
    if (before !== reward) {
      answer.reward = reward;
      if (counter !== undefined) this.#splits.rewarded(counter, arm, bucket, reward, before);
    }
    const isFirst = before === undefined;
    return { rollout, arm, digest, isFirst, replaced: !isFirst && before !== reward };
  }

  /** Forgets the answers of rollouts that are no longer in the plan. */
  keep(uids: ReadonlySet<string>): void {
    const gone = [...this.#uids].some((uid) => !uids.has(uid));
    this.#uids = uids;
    if (!gone) return;
    for (const [id, { uid }] of this.#answers) if (!uids.has(uid)) this.#answers.delete(id);
  }
}
