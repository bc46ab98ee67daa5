import { AdaptletError } from '../../errors/adaptlet-error.ts';
import type { EncoderTarget } from '../compiled/compile-target.ts';

/**
 * What a base model does: `generate` text token by token; `embed` texts, and classify them by adapters with a head;
 * `infer`: take tensors and give tensors.
 */
export type Task = 'generate' | 'embed' | 'infer';

/** What each task is asked by. */
const callsOf: Readonly<Record<Task, string>> = {
  generate:
    'text generation (/v1/completions, /v1/chat/completions, /v1/responses, Generate, ModelInfer with the input text)',
  embed:
    'embeddings and classification (/v1/embeddings, /v1/classify, Embed, Classify, ModelInfer with the input text)',
  infer: 'tensors (ModelInfer with the inputs that ModelMetadata tells)',
};

/** A request of another task than the base model's. */
export const refuseTask = (task: Task, asked: Task): AdaptletError =>
  new AdaptletError(
    'TASK_UNSUPPORTED',
    `The request asks for ${callsOf[asked]}; the base model does ${callsOf[task]}`,
  );

/** How the states of a text's tokens become one vector. */
export type Pooling = 'mean' | 'cls' | 'pooler' | 'model';

/** An encoder, as requests and adapters have to know it. */
export type EncoderInfo = EncoderTarget & {
  /** Numbers of an embedding. */
  readonly dimensions: number;
  /** Tokens of a text, special ones included; what is longer is cut at its end. */
  readonly maxTokens: number;
  /** `model`: the graph pools by itself. */
  readonly pooling: Pooling;
  /** Embeddings are divided by their length. */
  readonly normalize: boolean;
};

/** Types of numbers that tensors of requests have. */
export type ElementType =
  | 'float16'
  | 'float32'
  | 'float64'
  | 'int8'
  | 'int16'
  | 'int32'
  | 'int64'
  | 'uint8'
  | 'uint16'
  | 'uint32'
  | 'uint64'
  | 'bool';

/** A tensor that a graph takes or gives. -1: any size. */
export type TensorSpec = {
  readonly name: string;
  readonly type: ElementType;
  readonly shape: readonly number[];
};

/** A graph of plain tensors. */
export type TensorsInfo = {
  readonly inputs: readonly TensorSpec[];
  readonly outputs: readonly TensorSpec[];
  /** Rows of several requests are run together. */
  readonly batching: boolean;
};

/** Whose request it is: turns go to namespaces alike, in each to its tenants, and to the adapters of a tenant. */
export type Whose = {
  /** Absent: the one without a name. */
  readonly namespace?: string;
  /** Within its namespace. Absent: the one without a name. */
  readonly tenant?: string;
  /** From -1000 to 1000; a higher one goes first. Absent: 0. */
  readonly priority?: number;
  /** Requests of its namespace that are sure to run at a time. Absent: none. */
  readonly guaranteed?: number;
  /** RAM of adapters that were loaded for requests of its namespace, and that none was charged with. Absent: 0. */
  readonly loadedBytes?: number;
};

/** A text, or the tokens of one with the special ones. */
export type EncoderText =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'ids'; readonly ids: readonly number[] };

export type EncodeInput = Whose & {
  readonly requestId: string;
  /** Engine-side name of a loaded adapter, or null for the base model. */
  readonly engineName: string | null;
  readonly texts: readonly EncoderText[];
  /** `any`: a classification where the adapter has a head, else embeddings. */
  readonly output: 'embedding' | 'classification' | 'any';
  /** Tokens that texts are cut to, special ones included. Absent: as many as the model reads. */
  readonly maxTokens?: number;
};

/** What a head says of one text. All in the order of the labels. */
export type Classification = {
  readonly label: string;
  readonly logits: readonly number[];
  readonly probabilities: readonly number[];
};

type Counted = {
  /** Tokens that were read of all texts, special ones included. */
  readonly promptTokens: number;
  /** Places of the texts that were cut. */
  readonly truncated: readonly number[];
};

/** One row for each text, in the order of the texts. */
export type EncodeResult = Counted &
  (
    | { readonly kind: 'embedding'; readonly rows: readonly Float32Array[] }
    | {
        readonly kind: 'classification';
        readonly labels: readonly string[];
        readonly rows: readonly Classification[];
      }
  );

/** Values of a tensor, row by row, little-endian. */
export type NamedTensor = TensorSpec & { readonly data: Uint8Array<ArrayBuffer> };

export type InferInput = Whose & {
  readonly requestId: string;
  /** All inputs of the graph. */
  readonly inputs: readonly NamedTensor[];
};

/** All outputs of the graph. */
export type InferResult = { readonly outputs: readonly NamedTensor[] };
