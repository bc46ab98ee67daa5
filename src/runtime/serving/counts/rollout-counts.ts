import type { Digest, ObjectKey } from '../../../api/names.ts';
import type { SplitResource } from '../../../plan/resources.ts';
import { type SplitAtRequest } from '../../routing/decision.ts';
import { partsOf } from '../../routing/table.ts';
import { CopyTally } from './copy-tally.ts';
import { Feedback } from './feedback.ts';
import { ServedCounts } from './served-counts.ts';
import { type JudgedArm, SplitCounts } from './split-counts.ts';

/** A request that a rollout gave to one of its arms. */
export type TalliedRequest = {
  readonly id: string;
  readonly split: SplitAtRequest;
  readonly rollout: string;
  readonly arm: JudgedArm;
  /** Of what was asked. */
  readonly digest: Digest;
};

/** Everything that is counted of the requests of rollouts. */
export class RolloutCounts {
  readonly served: ServedCounts;
  readonly splits: SplitCounts;
  readonly feedback: Feedback;
  readonly copies: CopyTally;

  /** `changed` is called with every count of requests, `mirrored` with every one of copies. */
  constructor(changed: () => void = () => undefined, mirrored: () => void = changed) {
    this.served = new ServedCounts(changed);
    this.splits = new SplitCounts(changed);
    this.feedback = new Feedback(this.splits);
    this.copies = new CopyTally(mirrored);
  }

  answered({ id, split, rollout, arm, digest }: TalliedRequest, ms: number): void {
    this.served.add(split, arm);
    const counter = this.splits.answered(split, arm, ms);
    const bucket = split.counted?.bucket ?? 0;
    const [namespace] = partsOf(split.key);
    this.feedback.answered(id, { uid: split.uid, namespace, rollout, arm, digest, counter, bucket });
  }

  failed({ split, arm }: TalliedRequest): void {
    this.splits.failed(split, arm);
  }

  /** The rollouts of the plan in force; what is known of others is forgotten. */
  follow(splits: readonly SplitResource[]): void {
    const uids = new Set(splits.map(({ body }) => body.uid));
    this.served.keep(uids, new Set<ObjectKey>(splits.map(({ name }) => name)));
    this.splits.follow(splits.map(({ body }) => body));
    this.feedback.keep(uids);
    this.copies.keep(uids);
  }
}
