import { randomUUID } from 'node:crypto';
import type { Digest } from '../../../api/names.ts';
import type { SplitResource } from '../../../plan/resources.ts';
import type { SplitAtRequest } from '../../routing/decision.ts';
import { CopyTally } from './copy-tally.ts';
import { ElsewhereRewards } from './elsewhere-rewards.ts';
import { Feedback } from './feedback.ts';
import { FeedbackKeys } from './feedback-keys.ts';
import { ServedCounts } from './served-counts.ts';
import { type JudgedArm, SplitCounts } from './split-counts.ts';

/** A request that a rollout gave to one of its arms. */
export type TalliedRequest = {
  readonly split: SplitAtRequest;
  readonly rollout: string;
  readonly arm: JudgedArm;
  /** Of what was asked. */
  readonly digest: Digest;
};

/** Whose ids of answers are given and taken. */
type Signing = { readonly instance: string; readonly keys: FeedbackKeys };

/** Everything that is counted of the requests of rollouts. */
export class RolloutCounts {
  readonly served: ServedCounts;
  readonly splits: SplitCounts;
  readonly elsewhere: ElsewhereRewards;
  readonly feedback: Feedback;
  readonly copies: CopyTally;
  /** Of the rollouts of the plan in force. A request may end after its rollout is gone. */
  readonly #planned = new Set<string>();

  /** `changed` is called with every count of requests, `mirrored` with every one of copies. */
  constructor(
    changed: () => void = () => undefined,
    mirrored: () => void = changed,
    signing: Signing = { instance: randomUUID(), keys: new FeedbackKeys() },
  ) {
    this.served = new ServedCounts(changed);
    this.splits = new SplitCounts(changed);
    this.elsewhere = new ElsewhereRewards(changed);
    this.feedback = new Feedback({ ...signing, splits: this.splits, elsewhere: this.elsewhere });
    this.copies = new CopyTally(mirrored, (uid) => this.#planned.has(uid));
  }

  answered({ split, arm }: TalliedRequest, ms: number): void {
    if (this.#planned.has(split.uid)) this.served.add(split, arm);
    this.splits.answered(split, arm, ms);
  }

  failed({ split, arm }: TalliedRequest): void {
    this.splits.failed(split, arm);
  }

  /**
   * The rollouts of the plan in force have changed: `put` are new or other than before. `gone`, as they were, are there no more
   * or have given their name to another one; what is known of them is forgotten.
   */
  follow(put: readonly SplitResource[], gone: readonly SplitResource[] = []): void {
    const bodies = put.map(({ body }) => body);
    const uids = gone.map(({ body }) => body.uid);
    const names = new Set(put.map(({ name }) => name));
    for (const uid of uids) this.#planned.delete(uid);
    for (const { uid } of bodies) this.#planned.add(uid);
    this.served.forget(
      uids,
      gone.flatMap(({ name }) => (names.has(name) ? [] : [name])),
    );
    this.splits.follow(bodies, uids);
    this.elsewhere.follow(bodies, uids);
    this.feedback.follow(put, uids);
    this.copies.forget(uids);
  }
}
