import type { AdaptletError } from '../../../errors/adaptlet-error.ts';
import type {
  InferParameter,
  InferTensorContents,
  ModelInferRequest,
  ModelInferResponse,
  ModelStreamInferResponse,
} from '../../../gen/inference/grpc_service.ts';
import type { NamedTensor } from '../../engine/tasks.ts';
import type { ServedBy } from '../../routing/request.ts';
import { refuse } from '../refuse.ts';
import { contentsOf, datatypeOf } from './datatypes.ts';
import { refuseTensorParameters } from './parameters.ts';
import { encodeBytes } from './tensors.ts';

const noContents: InferTensorContents = {
  boolContents: [],
  intContents: [],
  int64Contents: [],
  uintContents: [],
  uint64Contents: [],
  fp32Contents: [],
  fp64Contents: [],
  bytesContents: [],
};

/** An output that is answered: numbers, or strings in one dimension. */
export type OutputTensor = NamedTensor | { readonly name: string; readonly texts: readonly string[] };

const text = (value: string): InferParameter => ({ parameterChoice: { $case: 'stringParam', value } });
const count = (value: number | boolean): InferParameter => ({
  parameterChoice:
    typeof value === 'boolean'
      ? { $case: 'boolParam', value }
      : { $case: 'int64Param', value: BigInt(value) },
});

/** What answered, and further counts. `request_id` is the id for feedback. */
export const servedParameters = (
  id: string,
  { digest, adapter, rollout, arm, rule }: ServedBy,
  counts: Counts,
): Record<string, InferParameter> => ({
  request_id: text(id),
  digest: text(digest),
  adapter: text(adapter),
  rollout: text(rollout),
  arm: text(arm),
  rule: text(rule),
  ...Object.fromEntries(Object.entries(counts).map(([name, value]) => [name, count(value)])),
});

/**
 * Names of the outputs that are asked for, in order; all of them when none is named.
 * @throws REQUEST_INVALID
 */
export const askedOutputs = (request: ModelInferRequest, known: readonly string[]): readonly string[] => {
  if (request.outputs.length === 0) return known;
  const names = request.outputs.map(({ name, parameters }) => {
    refuseTensorParameters(`output ${name}`, parameters);
    return known.includes(name) ? name : refuse(`output ${name} is not known; known are ${known.join(', ')}`);
  });
  return [...new Set(names)];
};

type Written = {
  readonly tensor: { readonly name: string; readonly datatype: string; readonly shape: bigint[] };
  readonly contents: () => InferTensorContents;
  readonly raw: () => Buffer;
};

export const write = (output: OutputTensor): Written => {
  if ('texts' in output) {
    const { name, texts } = output;
    return {
      tensor: { name, datatype: 'BYTES', shape: [BigInt(texts.length)] },
      contents: () => ({ ...noContents, bytesContents: texts.map((one) => Buffer.from(one, 'utf8')) }),
      raw: () => Buffer.concat(texts.map(encodeBytes)),
    };
  }
  const { name, type, shape, data } = output;
  return {
    tensor: { name, datatype: datatypeOf(type), shape: shape.map(BigInt) },
    contents: () => ({ ...noContents, ...contentsOf(output) }),
    raw: () => Buffer.from(data.buffer, data.byteOffset, data.byteLength),
  };
};

/** Counts of an answer, by their names on the wire. */
export type Counts = Readonly<Record<string, number | boolean>>;

/** What is answered to a request, before it takes the form of a protocol. */
export type InferAnswer = {
  /** Of the answer in logs, traces and feedback. */
  readonly id: string;
  readonly served: ServedBy;
  readonly counts: Counts;
  readonly outputs: readonly OutputTensor[];
};

/** The message of gRPC: raw when the request was raw, or when an output has no typed form; typed contents otherwise. */
export const inferResponse = (
  request: ModelInferRequest,
  { id, served, counts, outputs }: InferAnswer,
): ModelInferResponse => {
  const needsRaw = outputs.some((output) => 'type' in output && contentsOf(output) === undefined);
  const raw = needsRaw || request.rawInputContents.length > 0;
  const written = outputs.map(write);
  return {
    modelName: request.modelName,
    modelVersion: served.digest,
    id: request.id,
    parameters: servedParameters(id, served, counts),
    outputs: written.map(({ tensor, contents }) => ({
      ...tensor,
      parameters: {},
      contents: raw ? undefined : contents(),
    })),
    rawOutputContents: raw ? written.map((one) => one.raw()) : [],
  };
};

/** What a stream tells of a request that failed. Clients of Triton read the message; `error` has its code. */
export const failedResponse = (
  { id, modelName }: ModelInferRequest,
  failure: AdaptletError,
): ModelStreamInferResponse => ({
  errorMessage: failure.message,
  inferResponse: {
    modelName,
    modelVersion: '',
    id,
    parameters: { error: text(failure.code), triton_final_response: count(true) },
    outputs: [],
    rawOutputContents: [],
  },
});
