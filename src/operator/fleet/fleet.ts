import type { Digest, ObjectKey } from '../../api/names.ts';
import type { CopyReport } from '../../control/copies-wire.ts';
import type { Revision } from '../../control/revision.ts';
import type { WeightCounts } from '../../rollout/judge/reports.ts';
import type { ToldRewards } from '../../rollout/judge/told-rewards.ts';
import type { Scope } from '../objects/scope.ts';

/** `namespace/name` of an AdapterRuntime. */
export type RuntimeKey = ObjectKey;

export type AdapterState = {
  readonly uid: string;
  readonly digest: Digest | '';
  /** Remote, Fetching, Stored, Compiled, Loaded, Resident, Draining or Failed. */
  readonly state: string;
  /** Code of the error catalogue when Failed, else ''. */
  readonly reason: string;
  readonly message: string;
  /** Failed, and not tried again by itself. */
  readonly isFinal: boolean;
  /** Not Resident, but answers as if it were: it takes turns in RAM with others. */
  readonly inTurn: boolean;
  readonly storedBytes: number;
  readonly residentBytes: number;
  /** RAM that it needs, whether it is there or not; 0: not known yet. */
  readonly neededBytes: number;
  readonly rank: number;
  readonly targetModules: readonly string[];
};

export type HeldCanary = {
  readonly digest: Digest;
  readonly cause: 'Guard' | 'BreakGlass';
  readonly reason: string;
  readonly attempt: number;
};

export type RolloutState = {
  readonly uid: string;
  /** What the runtime follows; '' for none. */
  readonly stableDigest: Digest | '';
  readonly canaryDigest: Digest | '';
  readonly attempt: number;
  readonly weight: number;
  readonly effectiveWeight: number;
  /** Answered since the instance started, while canaryDigest had this weight. */
  readonly served: { readonly stable: number; readonly canary: number };
  readonly holds: readonly HeldCanary[];
  /** Absent: the plan mirrors nothing, and nothing was mirrored to this canary in this attempt. */
  readonly mirror?: CopyReport;
  /** What both arms did since the instance started, by the weight that this canary had in this attempt. */
  readonly counts: readonly WeightCounts[];
  /** Rewards for answers of this attempt that other processes gave. Absent: none. */
  readonly elsewhere?: ToldRewards;
};

/** A classifier of a route, on one runtime. */
export type ClassifierState = {
  readonly name: string;
  readonly digest: Digest | '';
  /** Pending, Ready or Failed; a newer runtime may have others. */
  readonly state: string;
  /** Why it is not Ready. */
  readonly message: string;
};

export type Usage = { readonly budgetBytes: number; readonly usedBytes: number };

/** How far the base model of a runtime is. */
export type ModelProgress = {
  /** Folder, or oci://…. */
  readonly source: string;
  /** Resolving, Downloading, Waiting (for the next try), Loading or Ready; a newer runtime may have others. */
  readonly state: string;
  /** Code of the error catalogue when Waiting, else ''. */
  readonly reason: string;
  readonly message: string;
  /** Of its OCI manifest; '' until it is known. */
  readonly manifestDigest: Digest | '';
  readonly receivedBytes: number;
  readonly totalBytes: number;
  /** Providers that come before the one in use in what was asked for, and why they are not used. */
  readonly refusedProviders: readonly { readonly provider: string; readonly reason: string }[];
  /** Operators by the provider that runs them; empty when the CPU was asked for all. */
  readonly operators: Readonly<Record<string, number>>;
  /** What is not allowed because it could not be shown to be right, and why. A sentence each. */
  readonly limits: readonly string[];
};

/** What is known of one runtime, from its reports. */
export type RuntimeState = {
  readonly key: RuntimeKey;
  readonly kind: 'Node' | 'Pod';
  readonly instance: string;
  readonly connectionSeq: bigint;
  readonly connected: boolean;
  /** Wall times in milliseconds. */
  readonly connectedAt: number;
  readonly disconnectedAt?: number;
  readonly info: {
    readonly version: string;
    readonly baseModel: string;
    readonly baseDigest: Digest | '';
    readonly executionProvider: string;
    readonly node: string;
    readonly pod: string;
    /** uid of the Node or Pod that owns the AdapterRuntime; '' when there is none. */
    readonly ownerUid: string;
    /** Largest LoRA rank that it accepts; 0: it does not say. */
    readonly maxRank: number;
  };
  readonly ready: boolean;
  readonly message: string;
  /** Absent: its version does not tell. */
  readonly model?: ModelProgress;
  readonly memory: Usage;
  readonly disk: Usage;
  readonly adapters: ReadonlyMap<ObjectKey, AdapterState>;
  readonly rollouts: ReadonlyMap<ObjectKey, RolloutState>;
  /** Requests that limits refused since the instance started, by `namespace/limit`. Absent: it told of none. */
  readonly limits?: ReadonlyMap<string, number>;
  /** Of those that need an artifact, by route. Absent: its version does not tell. */
  readonly classifiers?: ReadonlyMap<ObjectKey, readonly ClassifierState[]> | undefined;
  /** The newest revision whose commit it answered. */
  readonly acknowledged: Revision;
  /** What it refuses, by resource key (`type name`), with the reason. */
  readonly refused: ReadonlyMap<string, string>;
  readonly removalsHeld?: {
    readonly count: number;
    readonly fingerprint: string;
    readonly remainingMs: number;
  };
};

export type FleetChange = {
  readonly runtime: RuntimeKey;
  /** The only namespace that it counts for. */
  readonly scope: Scope;
  /**
   * It connected or went away, is ready or not any more, or its base model was loaded. The next stream of a process that was never shown as
   * away is none of that.
   */
  readonly connection: boolean;
  /** It is the first report of a stream. What the runtime refuses may be told again only behind it. */
  readonly opened: boolean;
  readonly adapters: ReadonlySet<ObjectKey>;
  readonly rollouts: ReadonlySet<ObjectKey>;
  /** Of these: those of which it says something else than other counts. */
  readonly decisive: ReadonlySet<ObjectKey>;
  /** Routes of whose classifiers it says something else. */
  readonly routes: ReadonlySet<ObjectKey>;
  /** It answered a commit, or refuses something else than before. */
  readonly acknowledged: boolean;
};

/** The runtimes of all replicas, as the leader knows them. */
export type Fleet = {
  get(key: RuntimeKey): RuntimeState | undefined;
  all(): Iterable<RuntimeState>;
  /** The result ends it. */
  onChange(listener: (change: FleetChange) => void): () => void;
};
