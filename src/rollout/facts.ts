import type { AnalysisSpec } from '../api/analysis.ts';
import type { GroupStatus } from '../api/group-status.ts';
import type { Digest } from '../api/names.ts';
import type { BoundAdapter, RolloutFailure, RolloutRuntimes, RolloutStatus } from '../api/rollout-status.ts';
import type { MeasurementResult } from './analysis/measurement.ts';
import type { CopyCounts } from './copies.ts';
import type { Candidate } from './groups/membership.ts';
import type { Reports } from './judge/reports.ts';
import type { Placement } from './placement.ts';

/** What is known about an Adapter object and its state where it should serve. */
export type AdapterFact = {
  readonly uid: string;
  /** Absent until the source was resolved. */
  readonly digest?: Digest | undefined;
  /** It is not allowed, or not signed as it has to be: nothing goes back to it. Absent: it may be bound. */
  readonly isBarred?: boolean;
  /**
   * Failed: refused, nothing retries it by itself. A download that failed and is tried again is Pending: an offline node
   * must not abort a rollout.
   */
  readonly state: 'Pending' | 'Resident' | 'Failed';
  /** Why it is not Resident, as one word; '' when there is nothing to say. */
  readonly reason: string;
  /** The same for people. */
  readonly message: string;
  readonly baseModel: string;
  /** Connected runtimes that it should serve on, and how many of them have it Resident. Absent on a node of its own. */
  readonly runtimes?: { readonly ready: number; readonly connected: number } | undefined;
};

/**
 * A digest that a node holds back for this rollout: the guard tripped, or it was rolled back by hand. It is about the
 * attempt in which it was made.
 */
export type Held = { readonly digest: Digest; readonly attempt: number; readonly reason: string };

/** Runtimes that a rollout applies to and that are alike, as groups look at them. */
export type RuntimeFact = {
  /** How many they are. */
  readonly size: number;
  /** namespace/name of their AdapterRuntimes, in order. */
  readonly names: () => readonly string[];
  /** Where each of them falls. Takes a look at each. */
  readonly candidates: () => readonly Candidate[];
  /** In parts by the group that each is in, of these. */
  readonly parted: (groups: readonly GroupStatus[]) => readonly RuntimePart[];
  readonly isConnected: boolean;
  /** Wall time in milliseconds when they went offline; absent while they are connected, or when nobody knows. */
  readonly awaySince?: number | undefined;
  /** They are connected and can answer requests. */
  readonly isServing: boolean;
  /**
   * How it is with the canary, in its present attempt. Ready: Resident, and they know the attempt. Failed: refused for good,
   * or the guard tripped. Held: somebody rolled it back by hand, on this runtime alone.
   */
  readonly canary: 'Pending' | 'Ready' | 'Failed' | 'Held';
  /** Why they are not ready, for people. */
  readonly why: string;
  /** Percent of requests that they allow the present canary; undefined: they have not said so. */
  readonly weight?: number | undefined;
};

/** Runtimes that a group has given the canary, or not yet; undefined: that no group has. */
export type RuntimePart = {
  readonly group: GroupStatus | undefined;
  readonly isOpen: boolean;
  readonly runtimes: RuntimeFact;
};

/** An AdapterAnalysis as it is now: what it says, or why that cannot be used. */
export type AnalysisFact = { readonly uid: string; readonly generation: number } & (
  | { readonly spec: AnalysisSpec }
  | { readonly invalid: string }
);

export type Facts = {
  /** Of the Adapter that spec.adapter names; absent while there is no such object. */
  readonly target?: AdapterFact | undefined;
  /** Of the Adapter that status.stable names, where it is another one; absent when it is not known. */
  readonly stable?: AdapterFact | undefined;
  /** Why a former stable would not serve; undefined: it would, as far as is known. Absent: so would all. */
  readonly whyNotBack?: ((former: BoundAdapter) => string | undefined) | undefined;
  /** Whether stable and the target fit into RAM together, with the numbers; absent while a size is not known. */
  readonly room?: { readonly fits: boolean; readonly message: string } | undefined;
  /** Whether runtimes can hold the target, in place of `room` in a cluster. */
  readonly placement?: Placement | undefined;
  /** Every hold of this rollout; those of other digests and of earlier attempts are ignored. */
  readonly held?: readonly Held[] | undefined;
  /** What the runtimes counted of the present canary in its present attempt. Absent: nothing. */
  readonly reports?: Reports | undefined;
  /** How many runtimes may count something; where they are more than a few (failures.ts) none of them decides alone. Absent: one. */
  readonly fleetSize?: number | undefined;
  /** What was measured elsewhere, by the id and number of a {@link Wanted}; undefined: not known yet. */
  readonly measured?: ((id: string, number: number) => MeasurementResult | undefined) | undefined;
  /** The AdapterAnalysis of that name; undefined: there is none. Absent: there are none at all. */
  readonly analysis?: ((name: string) => AnalysisFact | undefined) | undefined;
  /** What became of copies that the present canary was given in its present attempt. Absent: there were none. */
  readonly mirrored?: CopyCounts | undefined;
  /** The same, one for each runtime, where there are several. */
  readonly mirroredBy?: readonly CopyCounts[] | undefined;
  /** Every known runtime that the rollout applies to. Absent on a node of its own: there are no groups then. */
  readonly runtimes?: readonly RuntimeFact[] | undefined;
  /** Where and why stable does not answer for itself: its guard tripped there. Absent: nowhere, as far as is known. */
  readonly stableFails?: string | undefined;
  /** Why no runtime serves the rollout, whatever is decided: its name belongs to another object. */
  readonly nameConflict?: string | undefined;
  /** What was observed of the runtimes, for people: written into the status as it is. Absent on a node of its own. */
  readonly fleet?: Fleet | undefined;
};

export type Fleet = {
  readonly runtimes: RolloutRuntimes;
  /** Percent that the canary answered at the present weight; absent without requests. */
  readonly observedCanary?: number | undefined;
  /** Runtimes that it applies to and does not wait for; absent when there are none. */
  readonly apart?: NonNullable<RolloutStatus['apart']> | undefined;
  /** Runtimes that failed, and how many may; absent when there are none. */
  readonly failures?: { readonly all: readonly RolloutFailure[]; readonly allowed: number } | undefined;
};
