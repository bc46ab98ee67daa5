import type { CompileTarget } from '../compiled/compile-target.ts';
import type {
  EncodeInput,
  EncodeResult,
  EncoderInfo,
  InferInput,
  InferResult,
  Task,
  TensorsInfo,
  Whose,
} from './tasks.ts';

/** What the engine process says of itself once the base model is loaded. */
export type EngineInfo = CompileTarget & {
  /** The file that the graph was read from. */
  readonly graphFile: string;
  /** Hash of the injected graph: verdicts and compiled files are valid for one of these only. */
  readonly graphDigest: string;
  /** What runs the graph, as `executionProviders` names it. */
  readonly executionProvider: string;
  /** Those that come before it there, and why they do not. */
  readonly refusedProviders: readonly { readonly provider: string; readonly reason: string }[];
  /**
   * Operators of the base model by the provider that runs them: what a device does not take, the CPU does. One that a provider
   * made of many counts as one. Empty when the CPU is asked for all of them, and where it was not counted.
   */
  readonly operators: Readonly<Record<string, number>>;
  /** The instruction set that the native operator uses; '' where adapters come in the portable way. */
  readonly loraOperator: string;
  /**
   * Of the task `generate`: whether the native operator computes attention, and all linears in int4 and int8. Where both, and no linear is in
   * float32, a token has the same bits whatever else a step computes.
   */
  readonly native?: { readonly attention: boolean; readonly linears: boolean };
  /** What is not allowed because it could not be shown to be right, and why. A sentence each. */
  readonly limits: readonly string[];
  readonly architecture: string;
  readonly contextLength: number;
  readonly vocabSize: number;
  readonly task: Task;
  /** Of the task `generate`. */
  readonly room?: PromptRoom;
  readonly kv?: KvRoom;
  /** Absent: it has no chat template. */
  readonly chat?: ChatInfo;
  /** Of the task `embed`. */
  readonly encoder?: EncoderInfo;
  /** Of the task `infer`. */
  readonly tensors?: TensorsInfo;
};

/** How keys and values are stored, and for how many tokens there is memory. */
export type KvRoom = {
  readonly precision: 'float32' | 'int8';
  readonly bytesPerToken: number;
  readonly budgetBytes: number;
  /** Requests that run at the same time, and the tokens of prompt and answer that each may have then. */
  readonly requests: number;
  readonly tokens: number;
  /** Why it is not float32 though nobody said so; '' where it was said. */
  readonly because: string;
};

/** Tokens of prompt and answer that there is room for. */
export type PromptRoom = {
  /** The context of the model, or what the memory for keys and values holds where that is less. */
  readonly tokens: number;
  /** Behind the number: what sets it, as a clause after a comma; '' where the model does. */
  readonly because: string;
  /** A sentence after a space that says what makes more room; '' where nothing does. */
  readonly more: string;
  /** Bytes of a text, in UTF-8, that one token stands for at most. Absent where that is not known. */
  readonly maxTokenBytes?: number;
  /** Tokens of an answer that nobody set a number for. Absent: what there is room for. */
  readonly answerTokens?: number;
};

/** A call of a tool that an assistant made; `arguments` is a JSON object, as text. */
export type MadeCall = { readonly id: string; readonly name: string; readonly arguments: string };

export type ChatMessage = {
  readonly role: string;
  readonly content: string;
  /** Who speaks, of any role but a tool's. */
  readonly name?: string;
  /** Of an assistant: what it called. */
  readonly calls?: readonly MadeCall[];
  /** Of an assistant: what it thought before. */
  readonly reasoning?: string;
  /** Of a tool: the call that its content answers, and its own name. */
  readonly answers?: { readonly id: string; readonly name: string };
};

export type Prompt =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'ids'; readonly ids: readonly number[] }
  | {
      readonly kind: 'chat';
      readonly messages: readonly ChatMessage[];
      /** Tools that may be called: OpenAI's list of them, as JSON. Absent: none. */
      readonly tools?: string;
      /** Variables of the chat template. */
      readonly values?: Readonly<Record<string, string | number | boolean>>;
    };

/** How a base model writes calls of tools; docs/adr/0086. */
export type CallFormat = 'hermes' | 'llama' | 'gemma';

/** A variable of chat templates that says how much is thought: a word of OpenAI's (`low`), or whether at all. */
export type EffortVariable = 'reasoning_effort' | 'enable_thinking';

/** What the chat template of a base model knows besides messages. */
export type ChatInfo = {
  /** `none`: the template takes no tools; `unknown`: it does, and how the model writes calls is not known. */
  readonly calls: CallFormat | 'none' | 'unknown';
  /** An answer may have several calls. */
  readonly parallel: boolean;
  /** Answers may begin with thoughts, between <think> and </think>. */
  readonly thinks: boolean;
  /** The template leaves calls of former turns out: of all prompts, or of those that tell of no tools. Absent: it has them. */
  readonly dropsCalls?: 'always' | 'untold';
  /** Which of these variables the template reads. Absent: none. */
  readonly effort?: readonly EffortVariable[];
};

/**
 * How a token is picked from the logits. Applied in this order: logit bias, repetition penalty, frequency and presence
 * penalty, temperature, top-k, top-p, min-p. Same seed, same tokens.
 */
export type Sampling = {
  /** 0: the likeliest token, whatever the filters say. */
  readonly temperature: number;
  /** 1: off. */
  readonly topP: number;
  /** 0: off. */
  readonly topK: number;
  readonly seed?: number;
  /** Least probability of a token, as a share of the likeliest one's. 0: off. */
  readonly minP?: number;
  /** Divides positive logits, and multiplies negative ones, of tokens that prompt or answer have (CTRL, arXiv:1909.05858). 1: off. */
  readonly repetitionPenalty?: number;
  /** Taken from a logit for each time that the answer has the token (OpenAI). 0: off. */
  readonly frequencyPenalty?: number;
  /** Taken from a logit when the answer has the token (OpenAI). 0: off. */
  readonly presencePenalty?: number;
  /** Added to the logits of tokens. */
  readonly logitBias?: readonly (readonly [id: number, bias: number])[];
};

/**
 * What the text of an answer has to be: JSON of a schema, or as a regular expression or a grammar in Lark says; or calls of tools,
 * whose source is {@link CallsSource} as JSON.
 */
export type Structure = { readonly kind: 'json' | 'regex' | 'lark' | 'calls'; readonly source: string };

/** Calls, each one of these: a text, arguments by a JSON schema, and a text. */
export type CallsSource = {
  readonly calls: readonly {
    readonly name: string;
    readonly before: string;
    readonly schema: object;
    readonly after: string;
  }[];
  /** What stands between two calls. */
  readonly between: string;
  /** Calls that an answer may have; it has one at least. */
  readonly most: number;
  /** An answer may be this in place of calls: JSON by this schema. Absent: it is calls. */
  readonly orJson?: unknown;
};

export type GenerateInput = Whose & {
  readonly requestId: string;
  /** Engine-side name of a loaded adapter, or null for the base model. */
  readonly engineName: string | null;
  readonly prompt: Prompt;
  readonly maxTokens: number;
  /** True: fewer tokens where the context leaves less. Absent or false: PROMPT_TOO_LONG then. */
  readonly fitContext?: boolean;
  readonly sampling: Sampling;
  /** Generation ends before the first of these; it is not part of the text. */
  readonly stop: readonly string[];
  /** Tokens that end the answer as the model's own end tokens do. */
  readonly stopTokenIds?: readonly number[];
  /** Tokens that come before an end token may, or a stop string counts. A structure that allows nothing but its end ends before. Absent: 0. */
  readonly minTokens?: number;
  /** True: the model's own end tokens do not end the answer. With a structure they come only where nothing else may. */
  readonly ignoreEos?: boolean;
  /** Words that the answer may not have, as far as they come in tokens of their own. Absent: none. */
  readonly badWords?: readonly string[];
  /** Log probabilities with each token, and those of that many likeliest tokens. Absent: none. */
  readonly logprobs?: number;
  /**
   * The prompt comes with the first token, with its tokens where log probabilities are asked for. Absent: it does not.
   * `maxTokens`: of a prompt whose tokens are told, or that came as tokens; of more REQUEST_INVALID.
   */
  readonly echo?: { readonly maxTokens: number };
  /** Absent: any text. */
  readonly structure?: Structure;
  /** True: special tokens around thoughts and calls are in the text, which begins with a <think> that the prompt ended with. */
  readonly marked?: boolean;
  /** Bytes of keys and values that requests of its namespace may take together. Absent: as much as there is. */
  readonly kvLimitBytes?: number;
  /** Bytes of keys and values that its namespace is sure to have. Absent: none. */
  readonly kvGuaranteedBytes?: number;
  /**
   * Keys and values of what its prompt begins with may be those of another request of the same scope, which can see it by the
   * time of its first token. Absent: of none.
   */
  readonly scope?: string;
  /** False: each step gives one token, whatever could be guessed of the next ones. Absent: as the engine was started. */
  readonly speculate?: boolean;
};

/** A token and how likely the model finds it. */
export type TokenLogprob = {
  readonly id: number;
  /** The token by itself; `bytes:\xf0\x9f` where its bytes are no text. */
  readonly token: string;
  /** What it adds to the text, in UTF-8; absent for special tokens, which have no text. */
  readonly bytes?: readonly number[];
  /** Natural logarithm of its probability by the model alone: before bias, penalties, temperature and filters. */
  readonly logprob: number;
};

/** The token that was taken, and the likeliest ones in its place, likeliest first. */
export type TakenLogprob = TokenLogprob & { readonly top: readonly TokenLogprob[] };

/** A token of a prompt. The first one follows nothing, so it has no probability. */
export type PromptToken = TakenLogprob | Omit<TokenLogprob, 'logprob'>;

/** A prompt as it is told with its answer; `tokens` where log probabilities were asked for. */
export type Echo = { readonly text: string; readonly tokens?: readonly PromptToken[] };

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
  | {
      readonly kind: 'token';
      readonly ids: readonly number[];
      readonly text: string;
      /** One for each id, where asked for. */
      readonly logprobs?: readonly TakenLogprob[];
      /** With the first token, where asked for. */
      readonly echo?: Echo;
      /**
       * With the first token: milliseconds of the steps that led to it, all that came between them left out. Where the
       * beginning of the prompt was there already: about what they would have taken for all of it. Absent where the tokens of
       * the prompt are told: that takes longer than others' first tokens.
       */
      readonly firstTokenMs?: number;
      /** With the first token: those of the prompt that were computed for it, and not there already. */
      readonly computedTokens?: number;
    }
  | {
      readonly kind: 'done';
      readonly finishReason: FinishReason;
      readonly promptTokens: number;
      /** Those of the prompt whose keys and values were there from other requests of the scope. Absent: 0. */
      readonly cachedTokens?: number;
      readonly completionTokens: number;
      readonly timing: Timing;
    };

/** Verdict of the probe: the fixed input run with the adapter and with the base. */
export type ProbeResult = {
  readonly finite: boolean;
  /** Largest absolute difference between the logits with and without the adapter. 0: no effect, bit for bit. */
  readonly maxDifference: number;
  /** Share of the keys and values of the fixed input that do not fit int8; absent where they are stored as float32. */
  readonly clipped?: number;
};

/** A budget of memory that kept requests from running together. */
export type Limit = {
  /** The flag that sets it. */
  readonly flag: '--adapter-memory' | '--kv-memory';
  /** What happens instead, for people. */
  readonly effect: string;
  /** The most that was wanted at a time. */
  readonly neededBytes: number;
  readonly budgetBytes: number;
};

/** Drafts of next tokens that were run, their tokens, and those of them that the answers have. */
export type Speculated = {
  readonly drafts: number;
  readonly draftTokens: number;
  readonly acceptedTokens: number;
};

/** What the engine does at the moment; totals are since its process began. */
export type EngineLoad = {
  /** Requests that have a place, and requests that wait for one: for a row, or for memory of keys and values. */
  readonly running: number;
  readonly waiting: number;
  /** Bytes of keys and values of requests that have a place, and what they may have. */
  readonly kvUsedBytes: number;
  readonly kvBudgetBytes: number;
  /** With what is kept of those that are over, or wait again; and of that what is guaranteed to nobody. */
  readonly kvHeldBytes: number;
  readonly kvSparableBytes: number;
  /** Requests that made way for others so far. */
  readonly preemptions: number;
  /** Places so far that went to adapters which had got none for too long. */
  readonly overdueTurns: number;
  /**
   * Between namespaces: Jain's index of the work done of late for those with requests that run or wait, and the most weighted
   * tokens that one with requests that wait is behind another one with such.
   */
  readonly fairness: { readonly jain: number; readonly lag: number };
  /** Runs of the graph that decoded so far, and the tokens that they gave: of rows that run together, and of drafts. */
  readonly decodeSteps: number;
  readonly decodedTokens: number;
  readonly speculation: Speculated;
  /** Tokens of the prompts that got a place, and those of them whose keys and values were there already. */
  readonly promptTokens: number;
  readonly cachedTokens: number;
  /** One at most for each budget. */
  readonly limits: readonly Limit[];
};

/** What the engine process may take for now, where that is less than what it was started with. */
export type MemoryLimits = {
  /** For keys and values. */
  readonly kvBytes: number;
  /** Memory of adapters that left goes back to the system; else it stays for the next ones, which are there sooner. */
  readonly givesBack: boolean;
};

/**
 * What an engine process worked on when it ended, by id of the request: under which name of the engine (null: the base model),
 * and how many events had come. Requests that waited in its queue are not there.
 */
export type WorkAtEnd = ReadonlyMap<string, { readonly engineName: string | null; readonly events: number }>;

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
  /**
   * Embeds or classifies texts.
   * @throws TASK_UNSUPPORTED, CLASSIFIER_MISSING, PROMPT_TOO_LONG, QUEUE_FULL and others
   */
  encode(input: EncodeInput, signal: AbortSignal): Promise<EncodeResult>;
  /**
   * Runs a graph of plain tensors.
   * @throws TASK_UNSUPPORTED, REQUEST_INVALID, QUEUE_FULL
   */
  infer(input: InferInput, signal: AbortSignal): Promise<InferResult>;
  onState(listener: (state: EngineState) => void): () => void;
  close(): Promise<void>;
};
