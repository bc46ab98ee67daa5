import type { Digest, ObjectKey } from '../../api/names.ts';
import type { RolloutObject } from '../../api/objects.ts';
import type { ManifestProblem } from '../../api/parse.ts';
import type { KvRoom, Limit } from '../engine/engine.ts';
import type { PressureView } from '../pressure/memory-pressure.ts';
import type { AdapterView } from '../residency/adapter-view.ts';

/** A rollout as people see it: what was decided, and what this runtime does with it. */
export type RolloutView = {
  readonly key: ObjectKey;
  readonly phase: string;
  readonly message: string;
  readonly stable: string;
  readonly canary: string;
  readonly step: string;
  /** Percent allowed by the plan, and percent that this runtime applies. */
  readonly weight: number;
  readonly effectiveWeight: number;
  /** Requests answered per arm since this runtime started. */
  readonly served: { readonly stable: number; readonly canary: number };
  readonly held: string;
  /** As this runtime decided about it; absent where an operator does. */
  readonly object?: RolloutObject;
};

/** Connection to the operator, and what it could not do here. */
export type OperatorView = {
  /** host:port; '' when the last plan is followed without an operator. */
  readonly address: string;
  /** connected, connecting, waiting (for the next try), untrusted or none. */
  readonly state: string;
  /** RFC 3339 time since which it is connected, or is not. */
  readonly since: string;
  /** Why the last connection ended or could not be made; '' when none did. */
  readonly lastError: string;
  /** Replica that answers; '' while there is none. */
  readonly replica: string;
  /** uid of the cluster that is followed; '' before the first connection. */
  readonly clusterUid: string;
  /** resourceVersions that the plan has seen: adapters/rollouts/routes/runtimes. */
  readonly revision: string;
  readonly refused: readonly { readonly key: string; readonly version: string; readonly reason: string }[];
  /** Removals that are held back; absent when there are none. */
  readonly removalsHeld?: { readonly count: number; readonly remainingMs: number };
  /** Why the plan in force is not on the disk; '' when it is. */
  readonly notSaved: string;
};

/** The base model: where it comes from, and how far it is. */
export type ModelView = {
  /** Folder, or oci://…. */
  readonly source: string;
  /** Resolving, Downloading, Waiting (for the next try), Loading or Ready. */
  readonly state: string;
  /** Code of the error catalogue when Waiting, else ''. */
  readonly reason: string;
  /** One line; '' once the model serves. */
  readonly message: string;
  /** Of its OCI manifest; '' until it is known. */
  readonly manifestDigest: Digest | '';
  readonly receivedBytes: number;
  readonly totalBytes: number;
  readonly bytesPerSecond: number;
};

/** What runs the graph of the base model. */
export type ProviderView = {
  /** As `executionProviders` names it. */
  readonly executionProvider: string;
  /** Those that come before it there, and why they do not run it. */
  readonly refusedProviders: readonly { readonly provider: string; readonly reason: string }[];
  /** The instruction set that the native operator uses; '' where adapters come in the portable way. */
  readonly loraOperator: string;
  /** Operators of the graph by the provider that runs them; empty when the CPU was asked for all. */
  readonly operators: Readonly<Record<string, number>>;
  /** What is not allowed because it could not be shown to be right, and why. A sentence each. */
  readonly limits: readonly string[];
};

export type RuntimeStatus = ProviderView & {
  /** Absent until the base model was loaded, and where it does not generate. */
  readonly keysAndValues?: KvRoom;
  readonly version: string;
  readonly instance: string;
  readonly uptimeMs: number;
  readonly baseModel: string;
  /** Of the files of the base model that decide its answers; '' before it was loaded. */
  readonly baseDigest: Digest | '';
  readonly model: ModelView;
  readonly engine: string;
  readonly memory: { readonly budgetBytes: number; readonly usedBytes: number };
  /** What memory there is, and how far budgets shrank. */
  readonly memoryPressure: PressureView;
  /** Budgets that kept requests from running together, since the runtime or its engine started. */
  readonly shortages: readonly Limit[];
  readonly disk: { readonly budgetBytes: number; readonly usedBytes: number };
  readonly manifests: {
    readonly folder: string;
    readonly state: string;
    readonly problems: readonly ManifestProblem[];
  };
  /** Absent: no operator is followed. */
  readonly operator?: OperatorView;
  readonly adapters: readonly AdapterView[];
  readonly rollouts: readonly RolloutView[];
  readonly routes: readonly {
    readonly key: ObjectKey;
    readonly model: string;
    readonly accepted: boolean;
    readonly message: string;
  }[];
};
