import type { ModelInferRequest } from '../../../gen/inference/grpc_service.ts';
import type { Prompt } from '../../engine/engine.ts';
import { refuse } from '../refuse.ts';
import { refuseTensorParameters } from './parameters.ts';
import type { OutputTensor } from './response.ts';
import { inputData, readIds, readText } from './tensors.ts';

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

/** An answer, or a part of it while it streams. */
export type Generated = {
  readonly text: string;
  readonly ids: readonly number[];
  readonly finishReason?: string | undefined;
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

const int64 = (name: string, ids: readonly number[]): OutputTensor => ({
  name,
  type: 'int64',
  shape: [1, ids.length],
  data: new Uint8Array(BigInt64Array.from(ids.map(BigInt)).buffer),
});

/** What was generated, of the outputs in their order. Until its end an answer has no reason why it ended. */
export const generatedOutputs = (
  names: readonly OutputName[],
  { text, ids, finishReason }: Generated,
): readonly OutputTensor[] =>
  names.flatMap((name): OutputTensor[] => {
    if (name === 'token_ids') return [int64(name, ids)];
    if (name === 'text') return [{ name, texts: [text] }];
    return finishReason === undefined ? [] : [{ name, texts: [finishReason] }];
  });
