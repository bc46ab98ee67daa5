import { AdaptletError, asAdaptletError } from '../../errors/adaptlet-error.ts';
import type { ErrorCode } from '../../errors/catalogue.ts';
import type {
  EngineInfo,
  EngineLoad,
  GenerateEvent,
  GenerateInput,
  MemoryLimits,
  ProbeResult,
} from './engine.ts';
import type { EncodeInput, EncodeResult, InferInput, InferResult } from './tasks.ts';

/** What the engine process is started with. */
export type StartOptions = {
  readonly modelDir: string;
  /** Its graph, relative to the folder. Absent: model.onnx, or the only one. */
  readonly modelFile?: string | undefined;
  readonly cacheDir: string;
  /** See ModelOptions. */
  readonly cacheRoomBytes?: number | undefined;
  readonly adapterBudgetBytes: number;
  /** RAM that other processes of this node come to take. Absent: none. */
  readonly besideBytes?: number;
  readonly threads: number;
  /** Idle threads of a step wait busily for its next operator. */
  readonly spin?: boolean;
  /** Path of a libonnxruntime in place of the one that the npm package ships. */
  readonly onnxRuntimeLibrary?: string | undefined;
  /** In order of preference, by ONNX Runtime's names; empty or absent: the CPU. */
  readonly executionProviders?: readonly string[];
  /** Fails rather than run on the CPU in their place. */
  readonly requireProvider?: boolean;
  readonly maxConcurrent: number;
  readonly maxQueue: number;
  /** Memory for keys and values of the requests that run. Absent: as the machine allows. */
  readonly kvBudgetBytes?: number | undefined;
  /** How they are stored. Absent: auto, which is float32 unless that leaves hardly any room. */
  readonly kvPrecision?: 'auto' | 'float32' | 'int8';
  /** Memory for compiled structures. Absent: 192 MiB. */
  readonly structureBudgetBytes?: number | undefined;
  /** Keys and values of what prompts begin with are used again within a scope. Absent: they are. */
  readonly prefixCache?: boolean;
  /** `auto`, `off`, or the path of a native operator. Absent: auto. */
  readonly loraOperator?: string | undefined;
  /** A request that decodes by itself may give several tokens in a step. Absent: it may. */
  readonly speculation?: boolean;
  /** Milliseconds that a prompt may keep others from their next token. Absent: 100. */
  readonly maxDecodeStallMs?: number;
  /** Rows of one run, of encoders and plain tensors. Absent: 16. */
  readonly maxBatch?: number;
  /** Milliseconds that a row may wait for others. Absent: 0. */
  readonly maxBatchDelayMs?: number;
  /** Of an encoder whose files do not say it. */
  readonly pooling?: 'mean' | 'cls' | 'pooler';
  readonly normalize?: boolean;
};

/**
 * Names another libonnxruntime than the one that onnxruntime-node ships, such as one that was built for a device. The
 * engine process, and the processes that it starts, find it in their environment.
 */
export const libraryVariable = 'ADAPTLET_ONNX_RUNTIME_LIBRARY';

/** Token events that may be on their way to a caller who has not taken them. */
export const eventWindow = 64;

/** To the engine process. `call` numbers a call within the life of one process. */
export type ToEngine =
  | { readonly kind: 'start'; readonly options: StartOptions }
  | { readonly kind: 'load'; readonly call: number; readonly name: string; readonly file: string }
  | { readonly kind: 'unload'; readonly call: number; readonly name: string }
  | { readonly kind: 'probe'; readonly call: number; readonly name: string }
  | { readonly kind: 'generate'; readonly call: number; readonly input: GenerateInput }
  | { readonly kind: 'encode'; readonly call: number; readonly input: EncodeInput }
  | { readonly kind: 'infer'; readonly call: number; readonly input: InferInput }
  /** The caller of `generate`, `encode` or `infer` left. */
  | { readonly kind: 'cancel'; readonly call: number }
  /** The caller of `generate` took this many token events: as many more may be sent. */
  | { readonly kind: 'taken'; readonly call: number; readonly events: number }
  /** Memory is short, or no longer. */
  | { readonly kind: 'limit'; readonly limits: MemoryLimits }
  | { readonly kind: 'stop' };

/** An AdaptletError between processes. */
export type WireError = {
  readonly code: ErrorCode;
  readonly what: string;
  readonly advice: string;
  readonly retryAfterMs?: number;
};

/** What a call of one answer answers. */
export type Answers = {
  readonly load: { readonly bytes: number; readonly ms: number };
  readonly unload: undefined;
  readonly probe: ProbeResult;
  readonly encode: EncodeResult;
  readonly infer: InferResult;
};

/** From the engine process. */
export type FromEngine =
  /** What it does next to open the base model. */
  | { readonly kind: 'doing'; readonly what: string }
  | { readonly kind: 'ready'; readonly info: EngineInfo }
  /** It could not start, and ends. */
  | { readonly kind: 'failed'; readonly error: WireError }
  | { readonly kind: 'answer'; readonly call: number; readonly value: Answers[keyof Answers] }
  | { readonly kind: 'event'; readonly call: number; readonly event: GenerateEvent }
  /** The call is over with an error. */
  | { readonly kind: 'error'; readonly call: number; readonly error: WireError }
  /** A call of `generate` whose caller left is over. */
  | { readonly kind: 'cancelled'; readonly call: number }
  /** What it works on from now on: calls whose tokens or structure are made, and those of the step that begins. */
  | { readonly kind: 'works'; readonly calls: readonly number[] }
  /** A sign of life while there is work but nothing to say. `step`: the one that runs. */
  | {
      readonly kind: 'alive';
      readonly load?: EngineLoad | undefined;
      readonly step?: StepAge | undefined;
    };

/** How long a step runs, and how long it should by those before it; absent before the first. In milliseconds. */
export type StepAge = { readonly ageMs: number; readonly expectedMs?: number };

export const toWire = (error: unknown): WireError => {
  const { code, what, advice, retryAfterMs } = asAdaptletError(error, 'engine');
  return { code, what, advice, ...(retryAfterMs === undefined ? {} : { retryAfterMs }) };
};

export const fromWire = ({ code, what, ...options }: WireError): AdaptletError =>
  new AdaptletError(code, what, options);
