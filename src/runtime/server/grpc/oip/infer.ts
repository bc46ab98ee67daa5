import { AdaptletError } from '../../../../errors/adaptlet-error.ts';
import type { ModelInferRequest, ModelInferResponse } from '../../../../gen/inference/grpc_service.ts';
import type { Prompt } from '../../../engine/engine.ts';
import type { ServedBy } from '../../../routing/request.ts';
import type { Answer } from '../../exchange.ts';
import { refuseTensorParameters } from './parameters.ts';
import { noContents, servedParameters } from './response.ts';
import { encodeBytes, encodeInt64, inputData, readIds, readText } from './tensors.ts';

const refuse = (what: string): never => {
  throw new AdaptletError('REQUEST_INVALID', what);
};

/** Tensors of text generation, as ModelMetadata tells them. -1: any size. */
export const tensors = {
  inputs: [
    { name: 'text', datatype: 'BYTES', shape: [1n] },
    { name: 'input_ids', datatype: 'INT64', shape: [1n, -1n] },
  ],
  outputs: [
    { name: 'text', datatype: 'BYTES', shape: [1n] },
    { name: 'token_ids', datatype: 'INT64', shape: [1n, -1n] },
    { name: 'finish_reason', datatype: 'BYTES', shape: [1n] },
  ],
} as const;

/**
 * The prompt: exactly one of the inputs `text` and `input_ids`.
 * @throws REQUEST_INVALID
 */
export const readPrompt = (request: ModelInferRequest): Prompt => {
  const inputs = inputData(request);
  const names = inputs.map(({ tensor }) => tensor.name);
  const [input] = inputs;
  if (inputs.length !== 1 || input === undefined)
    return refuse(`the inputs are [${names.join(', ')}], there must be exactly one: text or input_ids`);
  const { name, parameters } = input.tensor;
  refuseTensorParameters(`input ${name}`, parameters);
  if (name === 'text') return { kind: 'text', text: readText(input) };
  if (name === 'input_ids') return { kind: 'ids', ids: readIds(input) };
  return refuse(`input ${name} is not known; known are text and input_ids`);
};

export type OutputName = (typeof tensors.outputs)[number]['name'];

/** The outputs to answer with, in the order asked for; all of them when none is named. */
export const readOutputs = (request: ModelInferRequest): OutputName[] => {
  if (request.outputs.length === 0) return tensors.outputs.map(({ name }) => name);
  const names = request.outputs.map(({ name, parameters }) => {
    refuseTensorParameters(`output ${name}`, parameters);
    const known = tensors.outputs.find((output) => output.name === name);
    return (
      known?.name ??
      refuse(`output ${name} is not known; known are ${tensors.outputs.map((o) => o.name).join(', ')}`)
    );
  });
  return [...new Set(names)];
};

/** The answer: raw when the request was raw, typed contents otherwise. */
export const inferResponse = (
  request: ModelInferRequest,
  served: ServedBy,
  answer: Answer,
): ModelInferResponse => {
  const raw = request.rawInputContents.length > 0;
  const { done } = answer;
  const values = { text: answer.text, finish_reason: done.finishReason };
  const parts = readOutputs(request).map((name) =>
    name === 'token_ids'
      ? {
          tensor: { name, datatype: 'INT64', shape: [1n, BigInt(answer.ids.length)] },
          contents: { ...noContents, int64Contents: raw ? [] : answer.ids.map(BigInt) },
          encode: () => encodeInt64(answer.ids),
        }
      : {
          tensor: { name, datatype: 'BYTES', shape: [1n] },
          contents: { ...noContents, bytesContents: raw ? [] : [Buffer.from(values[name], 'utf8')] },
          encode: () => encodeBytes(values[name]),
        },
  );
  return {
    modelName: request.modelName,
    modelVersion: served.digest,
    id: request.id,
    parameters: servedParameters(served, {
      prompt_tokens: done.promptTokens,
      completion_tokens: done.completionTokens,
    }),
    outputs: parts.map(({ tensor, contents }) => ({
      ...tensor,
      parameters: {},
      contents: raw ? undefined : contents,
    })),
    rawOutputContents: raw ? parts.map(({ encode }) => encode()) : [],
  };
};
