import type { Digest } from '../../api/names.ts';
import type { ChatInfo, GenerateEvent, GenerateInput, Prompt, PromptRoom } from '../engine/engine.ts';
import type {
  EncodeInput,
  EncodeResult,
  EncoderInfo,
  InferInput,
  InferResult,
  Task,
  TensorsInfo,
} from '../engine/tasks.ts';
import type { Arm, RequestContext, ServedBy } from '../routing/request.ts';
import type { Stages } from './stages.ts';

/** What to generate; who asks for it is in the {@link RequestContext}. */
export type GenerateRequest = Omit<
  GenerateInput,
  | 'requestId'
  | 'engineName'
  | 'namespace'
  | 'tenant'
  | 'guaranteed'
  | 'kvLimitBytes'
  | 'kvGuaranteedBytes'
  | 'loadedBytes'
  | 'priority'
> & {
  /** Answers to each prompt, all of what served the first one; each has the seed after the one before. Absent: one. */
  readonly choices?: number;
  /** Prompts behind `prompt`, which are answered in the same way. Absent: none. */
  readonly morePrompts?: readonly Prompt[];
};

/** `choice`: which of the answers it is of, from 0, those to the first prompt first; absent where there is one. */
export type GenerationEvent = GenerateEvent & { readonly choice?: number };

export type Generation = {
  readonly id: string;
  readonly served: ServedBy;
  /** Those of several answers as they come; each answer has a last event of its own. */
  readonly events: AsyncIterable<GenerationEvent>;
};

export type EncodeRequest = Pick<EncodeInput, 'texts' | 'output'>;
export type InferRequest = Pick<InferInput, 'inputs'>;

/** What gave the answer that feedback is about. */
export type RecordedFeedback = {
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
   * Routes, splits and acquires; resolves when the request is admitted to the engine, with what will serve it. The
   * events must be consumed or the signal aborted. `signal.reason` is DEADLINE_EXCEEDED or REQUEST_CANCELLED.
   * @throws MODEL_NOT_FOUND, ADAPTER_NOT_AVAILABLE, QUEUE_FULL, DEADLINE_EXCEEDED, REQUEST_CANCELLED, REQUEST_INVALID
   */
  generate(
    context: RequestContext,
    request: GenerateRequest,
    signal: AbortSignal,
    stages?: Stages,
  ): Promise<Generation>;
  /**
   * Embeds or classifies texts.
   * @throws as of `generate`, and TASK_UNSUPPORTED, CLASSIFIER_MISSING, PROMPT_TOO_LONG
   */
  encode(
    context: RequestContext,
    request: EncodeRequest,
    signal: AbortSignal,
    stages?: Stages,
  ): Promise<Answered<EncodeResult>>;
  /**
   * Runs a graph of plain tensors.
   * @throws as of `generate`, and TASK_UNSUPPORTED, INFER_FAILED
   */
  infer(
    context: RequestContext,
    request: InferRequest,
    signal: AbortSignal,
    stages?: Stages,
  ): Promise<Answered<InferResult>>;
  /**
   * Says how good the answer with this id was; higher is better. Given again, it changes nothing; another one takes its
   * place.
   * @param isAllowed whether the caller may ask for names of a namespace
   * @throws FEEDBACK_UNKNOWN, also for an answer of a namespace that the caller may not ask; FEEDBACK_FULL
   */
  feedback(id: string, reward: number, isAllowed: (namespace: string) => boolean): RecordedFeedback;
  models(namespace: string): readonly ModelCard[];
  /** Resolves a name to its card. Throws MODEL_NOT_FOUND with the nearest names. */
  model(namespace: string, name: string): ModelCard;
  readonly base: {
    readonly name: string;
    readonly digest: Digest | '';
    readonly contextLength: number;
    readonly vocabSize: number;
    readonly task: Task;
    /** Of the task `generate`. */
    readonly room?: PromptRoom;
    /** Of the task `generate`. Absent: it has no chat template. */
    readonly chat?: ChatInfo;
    /** Of the task `embed`. */
    readonly encoder?: EncoderInfo;
    /** Of the task `infer`. */
    readonly tensors?: TensorsInfo;
  };
  /** True while requests can be answered: base loaded, engine up, last plan applied. */
  ready(): { readonly ok: boolean; readonly reason: string };
};
