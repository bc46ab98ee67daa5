import type { Digest, ObjectKey } from '../../api/names.ts';
import type { PerUser } from '../../api/route.ts';
import type { Arm } from './request.ts';

/** What the plan said of a rollout when a request was routed. */
export type SplitAtRequest = {
  readonly key: ObjectKey;
  readonly uid: string;
  readonly canaryDigest: Digest | '';
  readonly weight: number;
  /** While the canary had requests here: what the request counts for when the arms are compared. */
  readonly counted?: CountedAs;
};

export type CountedAs = {
  readonly attempt: number;
  /** Percent that the canary really had on this node, above 0. */
  readonly weight: number;
  /** Hash bucket of who asked. */
  readonly bucket: number;
};

/** What may serve a request, in order of preference. */
export type Candidate =
  | {
      readonly kind: 'adapter';
      readonly key: ObjectKey;
      /** What a rollout bound; absent when the Adapter was asked for by name. */
      readonly digest?: Digest;
      readonly rollout: string;
      /** The rollout that chose; absent when the Adapter was asked for by name. */
      readonly split?: SplitAtRequest;
      readonly arm: Arm | '';
      readonly rule: string;
      /** Another version, or the base model, answers for it when it is taken out of service. */
      readonly isReplaceable?: boolean;
      /** What else is broken: goes to the caller when this one cannot serve either. */
      readonly trouble?: string;
    }
  | {
      readonly kind: 'perUser';
      readonly namespace: string;
      readonly route: string;
      readonly user: string;
      readonly template: PerUser;
      readonly rule: string;
    }
  /** `rollout`: the base model answers for it, because its versions cannot. */
  | { readonly kind: 'base'; readonly rule: string; readonly rollout?: string }
  /** Known but without anything to serve it now; `reason` goes to the caller when nothing after it serves. */
  | {
      readonly kind: 'unavailable';
      readonly reason: string;
      readonly rule: string;
      /** Absent: ADAPTER_NOT_AVAILABLE. */
      readonly code?: 'NO_VERSION_SERVES' | 'BASE_NOT_ALLOWED' | 'SOURCE_NOT_ALLOWED';
      /** Adapter that the plan does not have here: an operator may bring it. */
      readonly missing?: ObjectKey;
    };

/** The first that can serve does; those after the first are the rule's fallbacks. Never empty. */
export type Decision = { readonly candidates: readonly Candidate[] };

/** What only the runtime knows at the moment of the request. */
export type ServingFacts = {
  /** True while this adapter with this digest answers requests of a canary: validated, and in RAM or in turn with others. */
  serves(key: ObjectKey, digest: Digest): boolean;
  /** True while the node holds a digest back for a rollout: guard tripped or rolled back by hand. */
  isHeld(rolloutUid: string, digest: Digest): boolean;
  /** Why a version of a rollout cannot serve here; undefined: it can, or will. Absent: only what is held cannot. */
  troubleOf?(rolloutUid: string, key: ObjectKey, digest: Digest): Trouble | undefined;
  /** True when it can be loaded without its source. Absent: everything can. */
  isHere?(key: ObjectKey, digest: Digest): boolean;
};

export type Trouble = {
  readonly reason: string;
  /** It is not asked even where nothing else is left: refused for good, or rolled back by hand. */
  readonly isFinal: boolean;
};
