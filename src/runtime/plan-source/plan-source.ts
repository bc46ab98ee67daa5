import type { Digest, ObjectKey } from '../../api/names.ts';
import type { OperatorVerbs, RolloutVerb } from '../admin/admin.ts';
import type { BroughtAdapters } from '../admin/lora.ts';
import type { RolloutView, RuntimeStatus } from '../admin/views.ts';
import type { Demand } from '../serving/demand.ts';

/** A rollout as it was decided; what this runtime does with it is added by those who do it. */
export type DecidedRollout = Omit<RolloutView, 'effectiveWeight' | 'served' | 'held'> & {
  readonly uid: string;
  readonly stableDigest: Digest | undefined;
  readonly canaryDigest: Digest | undefined;
};

/**
 * Where the plan of this runtime comes from: a folder of manifests that it decides about itself, or an operator.
 *
 * Guarantee: from `resume` on the plan is in force that was in force when the runtime stopped.
 */
export type PlanSource = OperatorVerbs & {
  rollouts(): readonly DecidedRollout[];
  /** @throws MODEL_NOT_FOUND; VERB_REFUSED with what to do instead */
  verb(key: ObjectKey, verb: RolloutVerb): Promise<DecidedRollout>;
  report(): Pick<RuntimeStatus, 'manifests' | 'operator'>;
  /** An adapter changed its state, or this node holds something back. */
  wake(): void;
  /** A request of a rollout was answered. */
  counted(): void;
  /** A canary was given a copy of a request. */
  mirrored(): void;
  /** Puts the last plan in force, without what it comes from. */
  resume(): void;
  /**
   * Resolves to true once the plan in force is on the disk, to false when that does not take it now. Asked while a plan is
   * put in force, it is about that one.
   */
  saved(): Promise<boolean>;
  /** Follows what the plan comes from, once the runtime answers requests. */
  follow(): Promise<void>;
  close(): Promise<void>;
  /** Adapters that callers bring. Absent: all come with the plan. */
  readonly brought?: BroughtAdapters;
  /** Brings names that the plan does not have. Absent: the plan has all there is. */
  readonly demand?: Demand;
};
