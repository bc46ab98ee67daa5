import type { Digest, ObjectKey } from '../../api/names.ts';
import type { RolloutObject } from '../../api/objects.ts';
import type { ManifestProblem } from '../../api/parse.ts';
import type { GenerateEvent, Prompt, Sampling } from '../engine/engine.ts';
import type {
  EncodeInput,
  EncodeResult,
  EncoderInfo,
  InferInput,
  InferResult,
  Task,
  TensorsInfo,
} from '../engine/tasks.ts';

/** Who asks, for what. Header names are lower-case. */
export type RequestContext = {
  readonly namespace: string;
  /** The name that the client sent as `model` or `model_name`. */
  readonly model: string;
  readonly user?: string;
  readonly session?: string;
  readonly tenant?: string;
  /** From -1000 to 1000; absent: 0. */
  readonly priority?: number;
  readonly headers: ReadonlyMap<string, string>;
};

export type Arm = 'stable' | 'canary' | 'base';

/** What produced an answer. Sent with every response. */
export type ServedBy = {
  /** Name of the Adapter, or '' for the base model. */
  readonly adapter: string;
  /** Of the adapter, or of the base model. */
  readonly digest: Digest;
  readonly rollout: string;
  /** '' when an Adapter was asked for by its own name. */
  readonly arm: Arm | '';
  readonly rule: string;
};

export type GenerateRequest = {
  readonly prompt: Prompt;
  readonly maxTokens: number;
  /** True: fewer tokens where the context leaves less. Absent or false: PROMPT_TOO_LONG then. */
  readonly fitContext?: boolean;
  readonly sampling: Sampling;
  readonly stop: readonly string[];
  readonly stopTokenIds?: readonly number[];
  /** See {@link GenerateInput}. */
  readonly logprobs?: number;
};

export type Generation = {
  readonly id: string;
  readonly served: ServedBy;
  readonly events: AsyncIterable<GenerateEvent>;
};

export type EncodeRequest = Pick<EncodeInput, 'texts' | 'output'>;
export type InferRequest = Pick<InferInput, 'inputs'>;

/** What gave the answer that feedback is about. */
export type FeedbackTaken = {
  readonly rollout: string;
  readonly arm: Arm;
  readonly digest: Digest;
  /** The answer had none before. */
  readonly isFirst: boolean;
  /** It had another one before, which counts no more. */
  readonly replaced: boolean;
};

/** A request that was answered as a whole. */
export type Answered<Result> = { readonly id: string; readonly served: ServedBy; readonly result: Result };

/** One name that a client may send as `model`. */
export type ModelCard = {
  readonly id: string;
  readonly kind: 'route' | 'rollout' | 'adapter' | 'base';
  readonly ready: boolean;
  /** Why it is not ready; '' when it is. */
  readonly reason: string;
  readonly digest: Digest | '';
  readonly parent: string;
  readonly createdAt: string;
  /** Of an adapter that classifies, once it was compiled here. */
  readonly labels?: readonly string[];
};

/** The data path behind every protocol. */
export type Serving = {
  /**
   * Routes, splits and acquires; resolves when the request is admitted to the engine, with what will serve it.
   * Errors: MODEL_NOT_FOUND, ADAPTER_NOT_AVAILABLE, QUEUE_FULL, DEADLINE_EXCEEDED, REQUEST_CANCELLED, REQUEST_INVALID.
   * The events must be consumed or the signal aborted. `signal.reason` is DEADLINE_EXCEEDED or REQUEST_CANCELLED.
   */
  generate(context: RequestContext, request: GenerateRequest, signal: AbortSignal): Promise<Generation>;
  /** Embeds or classifies texts. Errors as of `generate`, and TASK_UNSUPPORTED, CLASSIFIER_MISSING, PROMPT_TOO_LONG. */
  encode(
    context: RequestContext,
    request: EncodeRequest,
    signal: AbortSignal,
  ): Promise<Answered<EncodeResult>>;
  /** Runs a graph of plain tensors. Errors as of `generate`, and TASK_UNSUPPORTED, INFER_FAILED. */
  infer(context: RequestContext, request: InferRequest, signal: AbortSignal): Promise<Answered<InferResult>>;
  /**
   * Says how good the answer with this id was; higher is better. Given again, it changes nothing; another one takes its
   * place. Errors: FEEDBACK_UNKNOWN.
   */
  feedback(id: string, reward: number): FeedbackTaken;
  models(namespace: string): readonly ModelCard[];
  /** Resolves a name to its card. Throws MODEL_NOT_FOUND with the nearest names. */
  model(namespace: string, name: string): ModelCard;
  readonly base: {
    readonly name: string;
    readonly digest: Digest | '';
    readonly contextLength: number;
    readonly vocabSize: number;
    readonly task: Task;
    /** Of the task `embed`. */
    readonly encoder?: EncoderInfo;
    /** Of the task `infer`. */
    readonly tensors?: TensorsInfo;
  };
  /** True while requests can be answered: base loaded, engine up, last plan applied. */
  ready(): { readonly ok: boolean; readonly reason: string };
};

export type AdapterView = {
  readonly key: ObjectKey;
  readonly digest: Digest | '';
  readonly state: string;
  /** Reason of Failed, else ''. */
  readonly reason: string;
  readonly message: string;
  readonly pinned: boolean;
  readonly priority: number;
  readonly references: number;
  readonly storedBytes: number;
  readonly residentBytes: number;
  readonly rank: number;
  readonly targetModules: readonly string[];
  /** Of an adapter that classifies, once it was compiled. */
  readonly labels?: readonly string[];
};

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

export type RuntimeStatus = {
  readonly version: string;
  readonly instance: string;
  readonly uptimeMs: number;
  readonly baseModel: string;
  readonly baseDigest: Digest | '';
  readonly engine: string;
  readonly executionProvider: string;
  readonly memory: { readonly budgetBytes: number; readonly usedBytes: number };
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

export type RolloutVerb = 'promote' | 'promote-full' | 'abort' | 'retry' | 'rollback';

/** What a person says about the operator that a node follows. Errors: VERB_REFUSED where it does not apply. */
export type OperatorVerbs = {
  /** Accepts whatever cluster answers next. */
  trustCluster(): Promise<void>;
  /** Lets removals happen that are held back; resolves to how many. */
  confirmRemovals(): Promise<number>;
};

/** Steering by hand: `adaptlet` on the node, gRPC Admin, Triton's repository calls. */
export type Steering = OperatorVerbs & {
  status(): RuntimeStatus;
  /** To Resident; waits until it is. */
  preload(key: ObjectKey, signal: AbortSignal): Promise<void>;
  pin(key: ObjectKey, pinned: boolean): Promise<void>;
  /** Out of RAM, after its references ran out. Refused (VERB_REFUSED) while a rollout holds it. */
  evict(key: ObjectKey, signal: AbortSignal): Promise<void>;
  rollout(key: ObjectKey, verb: RolloutVerb): Promise<RolloutView>;
};
