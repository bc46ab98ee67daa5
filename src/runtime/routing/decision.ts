import type { Digest, ObjectKey } from '../../api/names.ts';
import type { PerUser } from '../../api/route.ts';
import type { Labelled } from './labelled.ts';
import type { Arm, RequestContext, ServedBy } from './request.ts';
import type { Sticky } from './sticky.ts';
import type { RouteEntry } from './table.ts';

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

/** What a session keeps: the decision about its first request. */
export type KeptChoice = {
  readonly rule: string;
  /** As its rule names it: `rollout:x`, `adapter:x`, `base`, or `user` for the adapter of the user. */
  readonly target: string;
  /** What answered of a rollout. Absent: the target alone is kept. */
  readonly version?: KeptVersion;
};

export type KeptVersion = { readonly arm: Arm; readonly digest: Digest };

/** What a candidate would be kept as. */
export type Keepable = {
  readonly route: RouteEntry;
  readonly sticky: Sticky;
  readonly rule: string;
  readonly target: string;
};

/** What may serve a request, in order of preference. */
export type Candidate = Served & {
  /** What classifiers said that were asked for it. */
  readonly classified?: string;
  /** Its rule keeps decisions: what a session would keep of it. */
  readonly keepable?: Keepable;
};

type Served =
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
      readonly code?: 'NO_VERSION_SERVES' | 'BASE_NOT_ALLOWED' | 'SOURCE_NOT_ALLOWED' | 'ROUTE_UNCERTAIN';
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
  /** What a classifier of a route says of the prompt of a request. Absent: classifiers are uncertain. */
  classify?(route: RouteEntry, classifier: string, context: RequestContext): Labelled;
  /**
   * Asks the classifiers that a decision about the request lacked because they take time; undefined: it lacked none. Absent: there
   * are none.
   */
  awaited?(context: RequestContext, signal: AbortSignal): Promise<void> | undefined;
  /** What the session of a request keeps of a route; undefined: nothing. Absent: each request is decided by itself. */
  kept?(route: RouteEntry, context: RequestContext): KeptChoice | undefined;
};

export type Trouble = {
  readonly reason: string;
  /** It is not asked even where nothing else is left: refused for good, or rolled back by hand. */
  readonly isFinal: boolean;
};

/** What remembers what sessions keep. */
export type KeepsSessions = {
  /**
   * A request is given this; others of its session that come before it is answered go the same way. Called with the decision, before
   * anything is waited for.
   */
  decided(context: RequestContext, first: Candidate): void;
  /** Its answer began. The result is the token of the session, where it has one. */
  served(context: RequestContext, first: Candidate, candidate: Candidate, by: ServedBy): string | undefined;
  /** No answer began: a session that had nothing before has nothing again, once no other request of it waits. */
  failed(context: RequestContext, first: Candidate): void;
};
