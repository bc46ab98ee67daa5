import type { Digest } from '../../api/names.ts';

/** A linear of the base model that LoRA can reach. */
export type Site = {
  /** PEFT's module name, e.g. `model.layers.0.self_attn.q_proj`. */
  readonly module: string;
  /** Features in and out of the linear. */
  readonly inFeatures: number;
  readonly outFeatures: number;
};

/** What the engine process says of itself once the base model is loaded. */
export type EngineInfo = {
  readonly baseDigest: Digest;
  /** Hash of the injected graph: verdicts and compiled files are valid for one of these only. */
  readonly graphDigest: string;
  /** Version of the compiled format and of ONNX Runtime. */
  readonly engineVersion: string;
  readonly executionProvider: string;
  readonly architecture: string;
  readonly contextLength: number;
  readonly vocabSize: number;
  readonly sites: readonly Site[];
};

export type ChatMessage = { readonly role: string; readonly content: string };

export type Prompt =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'ids'; readonly ids: readonly number[] }
  | { readonly kind: 'chat'; readonly messages: readonly ChatMessage[] };

/** temperature 0 is greedy. topK 0 and topP 1 switch those filters off. Same seed, same tokens. */
export type Sampling = {
  readonly temperature: number;
  readonly topP: number;
  readonly topK: number;
  readonly seed?: number;
};

export type GenerateInput = {
  readonly requestId: string;
  /** Engine-side name of a loaded adapter, or null for the base model. */
  readonly adapter: string | null;
  readonly prompt: Prompt;
  readonly maxTokens: number;
  /** True: fewer tokens where the context leaves less. Absent or false: PROMPT_TOO_LONG then. */
  readonly fitContext?: boolean;
  readonly sampling: Sampling;
  /** Generation ends before the first of these; it is not part of the text. */
  readonly stop: readonly string[];
};

export type FinishReason = 'stop' | 'length';

export type Timing = {
  /** Waiting for the first step; prefill run; all decode runs. Milliseconds. */
  readonly queueMs: number;
  readonly prefillMs: number;
  readonly decodeMs: number;
  /** From the scheduler's pick of this request to its run call, when the step before had another adapter; else 0. */
  readonly switchMs: number;
};

export type GenerateEvent =
  | { readonly kind: 'token'; readonly ids: readonly number[]; readonly text: string }
  | {
      readonly kind: 'done';
      readonly finishReason: FinishReason;
      readonly promptTokens: number;
      readonly completionTokens: number;
      readonly timing: Timing;
    };

/** Verdict of the probe: the fixed input run with the adapter and with the base. */
export type ProbeResult = {
  readonly finite: boolean;
  /** Largest absolute difference between the logits with and without the adapter. 0: no effect, bit for bit. */
  readonly maxDifference: number;
};

export type EngineState = 'starting' | 'ready' | 'down' | 'closed';

/**
 * The engine as the main process sees it: a child process that can die at any time and is started again.
 *
 * Guarantees: after a restart nothing is loaded; `onState` tells. Every call that was under way when the process
 * ended rejects with ENGINE_DOWN.
 */
export type Engine = {
  readonly state: EngineState;
  /** Known from the first time the engine was ready. Throws ENGINE_DOWN before. */
  info(): EngineInfo;
  /** Loads a compiled file under an engine-side name; resolves with the bytes it holds in RAM. */
  load(name: string, compiledFile: string): Promise<{ readonly bytes: number; readonly ms: number }>;
  probe(name: string): Promise<ProbeResult>;
  /** Frees it once the steps that use it are over. */
  unload(name: string): Promise<void>;
  /** Ends with one `done`; aborting the signal stops it within one step and throws REQUEST_CANCELLED. */
  generate(input: GenerateInput, signal: AbortSignal): AsyncIterable<GenerateEvent>;
  onState(listener: (state: EngineState) => void): () => void;
  close(): Promise<void>;
};
