import { type Digest, namespaceOf, type ObjectKey } from '../../../api/names.ts';
import { AdaptletError } from '../../../errors/adaptlet-error.ts';
import { quoteUntrusted } from '../../../errors/quote-untrusted.ts';
import type { SplitResource } from '../../../plan/resources.ts';
import { hash64Hex } from '../../../rollout/hash.ts';
import { buckets } from '../../../rollout/judge/counts.ts';
import { originOf } from '../../../rollout/judge/elsewhere.ts';
import { maxRewarded } from '../../../rollout/judge/rewarded.ts';
import type { SplitAtRequest } from '../../routing/decision.ts';
import { partsOf } from '../../routing/table.ts';
import type { RecordedFeedback } from '../serving.ts';
import { type AnswerFacts, answerId, maxNumber, readAnswerId } from './answer-id.ts';
import type { ElsewhereRewards } from './elsewhere-rewards.ts';
import type { FeedbackKeys } from './feedback-keys.ts';
import type { JudgedArm, SplitCounts } from './split-counts.ts';

/** Answers whose last reward is remembered, so that another one can take its place: those that got one last. */
export const maxRemembered = 65_536;

type FeedbackParts = {
  /** Of this process; changes with every start. */
  readonly instance: string;
  readonly keys: FeedbackKeys;
  readonly splits: SplitCounts;
  readonly elsewhere: ElsewhereRewards;
};

/** A request that a rollout gave to one of its arms. */
type Begun = { readonly split: SplitAtRequest; readonly arm: JudgedArm; readonly digest: Digest };

type Followed = { readonly uid: string; readonly name: ObjectKey };

const trialOf = (canaryDigest: string, attempt: number): string =>
  hash64Hex(`${canaryDigest} ${attempt}`).slice(0, 8);

/**
 * Ids of answers of rollouts, which say, signed, what feedback about them counts for; and that feedback.
 *
 * Guarantees: an id that no runtime of this fleet signed, or that is of a rollout which is not in the plan here, is refused;
 * one reward counts for an answer, the last one, at the weight and for the arm that answered; giving it again changes
 * nothing, before and after a restart of whoever answered; memory is bounded.
 */
export class Feedback {
  readonly #parts: FeedbackParts;
  readonly #origin: string;
  readonly #rewards = new Map<string, number>();
  /** Their ids in a ring, where the next one takes the place of the oldest: a Map finds its first entry slowly. */
  readonly #ids: string[] = [];
  #next = 0;
  /** Number of the next answer that is not counted; they come from the other end. */
  #uncounted = maxNumber;
  /** Rollouts of the plan, by their name in ids. */
  readonly #rollouts = new Map<string, Followed>();
  /** By uid: the present canary and its attempt, or the last one. */
  readonly #trials = new Map<string, string>();

  constructor(parts: FeedbackParts) {
    this.#parts = parts;
    this.#origin = originOf(parts.instance);
  }

  /** Answers whose last reward is remembered. */
  get size(): number {
    return this.#rewards.size;
  }

  /** Of an answer that begins. Each call gives another one. */
  idOf({ split, arm, digest }: Begun): string {
    const { key, uid, canaryDigest, counted } = split;
    const facts: AnswerFacts = {
      origin: this.#origin,
      rollout: hash64Hex(uid),
      trial: trialOf(canaryDigest, counted?.attempt ?? 0),
      arm,
      digest,
      number: (this.#parts.splits.number(split) ?? this.#numberOfUncounted()) % (maxNumber + 1),
      ...(counted === undefined ? {} : { counted: { weight: counted.weight, bucket: counted.bucket } }),
    };
    const namespace = namespaceOf(key);
    return answerId(facts, this.#parts.keys.of(namespace)[0]);
  }

  /** @throws FEEDBACK_UNKNOWN, also for an answer of a namespace that is not allowed; FEEDBACK_FULL */
  record(
    id: string,
    reward: number,
    isAllowed: (namespace: string) => boolean = () => true,
  ): RecordedFeedback {
    const facts = this.#read(id, isAllowed);
    const followed = facts && this.#rollouts.get(facts.rollout);
    if (facts === undefined || followed === undefined) throw unknown(id);
    const before = this.#take(id, facts, followed.uid, reward);
    const [, rollout] = partsOf(followed.name);
    const { arm, digest } = facts;
    const isFirst = before === undefined;
    return { rollout, arm, digest, isFirst, replaced: !isFirst && before !== 'Kept' && before !== reward };
  }

  /** As {@link RolloutCounts.follow}. There is feedback for answers of rollouts of the plan alone. */
  follow(put: Iterable<Pick<SplitResource, 'name' | 'body'>>, gone: Iterable<string> = []): void {
    for (const uid of gone) {
      this.#rollouts.delete(hash64Hex(uid));
      this.#trials.delete(uid);
    }
    for (const { name, body } of put) {
      const { uid, canary } = body;
      this.#rollouts.set(hash64Hex(uid), { uid, name });
      if (canary !== undefined) this.#trials.set(uid, trialOf(canary.digest, canary.attempt));
    }
  }

  #numberOfUncounted(): number {
    if (this.#uncounted < maxNumber / 2) this.#uncounted = maxNumber;
    return this.#uncounted--;
  }

  #read(id: string, isAllowed: (namespace: string) => boolean): AnswerFacts | undefined {
    const facts = readAnswerId(id, (rollout) => {
      const followed = this.#rollouts.get(rollout);
      if (followed === undefined) return undefined;
      const namespace = namespaceOf(followed.name);
      return isAllowed(namespace) ? this.#parts.keys.of(namespace) : undefined;
    });
    if (facts?.counted === undefined) return facts;
    // Other runtimes sign as well, and one of them may not be what it should be.
    const { weight, bucket } = facts.counted;
    return weight >= 1 && weight <= 100 && bucket < buckets ? facts : undefined;
  }

  /** The reward that it had before. Undefined: none. Kept: it had one that is not known any more, which stays. */
  #take(id: string, facts: AnswerFacts, uid: string, reward: number): number | 'Kept' | undefined {
    const { counted, number, arm, origin } = facts;
    if (counted === undefined || this.#trials.get(uid) !== facts.trial) return this.#remember(id, reward);
    const { weight, bucket } = counted;
    const answer = { number, bucket, arm };
    const { splits, elsewhere } = this.#parts;
    if (origin !== this.#origin) return elsewhere.tell({ uid, origin, weight, ...answer }, reward);
    const counter = splits.counterOf(uid, weight, number);
    // Others have the key as well.
    if (counter === undefined) throw unknown(id);
    if (counter === 'Gone') return this.#remember(id, reward);
    const known = this.#rewards.get(id);
    if (known === undefined) {
      const was = counter.wasRewarded(number);
      // It must not count twice.
      if (was === undefined) throw tooOld(id);
      if (was) return 'Kept';
    }
    if (known !== reward) splits.rewarded(counter, answer, reward, known);
    return this.#remember(id, reward);
  }

  #remember(id: string, reward: number): number | undefined {
    const before = this.#rewards.get(id);
    if (before === undefined) {
      const oldest = this.#ids[this.#next];
      if (oldest !== undefined) this.#rewards.delete(oldest);
      this.#ids[this.#next] = id;
      this.#next = (this.#next + 1) % maxRemembered;
    }
    this.#rewards.set(id, reward);
    return before;
  }
}

const unknown = (id: string): AdaptletError =>
  new AdaptletError(
    'FEEDBACK_UNKNOWN',
    `${quoteUntrusted(id)} is no id of an answer that a rollout of this runtime gave, here or elsewhere`,
  );

const tooOld = (id: string): AdaptletError =>
  new AdaptletError(
    'FEEDBACK_UNKNOWN',
    `${quoteUntrusted(id)} is of an answer so long before the last ones with feedback (${maxRewarded} at most are known) that nobody knows whether it had any`,
  );
