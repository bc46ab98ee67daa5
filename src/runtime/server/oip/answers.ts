import type { ModelInferRequest } from '../../../gen/inference/grpc_service.ts';
import type { Serving } from '../../serving/serving.ts';
import { type Asking, requestContext } from '../context.ts';
import { encodeRequest } from '../encode-options.ts';
import type { Exchange, Parts } from '../exchange.ts';
import { datatypeOf, readTensor } from './datatypes.ts';
import { encoderOutputs, encoderTensors, readEncoderOutput, readEncoderTexts } from './encode.ts';
import { tensors } from './infer.ts';
import { readIdentityParameters } from './parameters.ts';
import { askedOutputs, type InferAnswer } from './response.ts';
import { inputData } from './tensors.ts';

export type InferCall = {
  readonly request: ModelInferRequest;
  readonly asking: Asking;
  readonly exchange: Exchange;
  readonly parts: Parts;
};

const contextOf = ({ request, asking: { headers, caller } }: InferCall) => {
  const identity = readIdentityParameters(request.parameters);
  return requestContext(headers, { model: request.modelName, ...identity }, caller);
};

/** ModelInfer of an encoder. */
export const inferTexts = async (call: InferCall): Promise<InferAnswer> => {
  const { request, exchange, parts } = call;
  const context = contextOf(call);
  const wanted = encodeRequest(readEncoderTexts(request), readEncoderOutput(request), parts.serving.base);
  const { id, served, result } = await exchange.once(
    context,
    (serving, signal, stages) => serving.encode(context, wanted, signal, stages),
    ({ promptTokens }) => promptTokens,
  );
  const counts = { prompt_tokens: result.promptTokens, truncated: result.truncated.length };
  return { id, served, counts, outputs: encoderOutputs(request, result) };
};

/** ModelInfer of a graph of plain tensors: its own inputs and outputs. */
export const inferTensors = async (call: InferCall): Promise<InferAnswer> => {
  const { request, exchange, parts } = call;
  const context = contextOf(call);
  const known = parts.serving.base.tensors?.outputs.map(({ name }) => name) ?? [];
  const asked = askedOutputs(request, known);
  const inputs = inputData(request).map(readTensor);
  const { id, served, result } = await exchange.once(
    context,
    (serving, signal, stages) => serving.infer(context, { inputs }, signal, stages),
    () => 0,
  );
  const outputs = asked.flatMap((name) => result.outputs.filter((output) => output.name === name));
  return { id, served, counts: {}, outputs };
};

type Spec = { readonly name: string; readonly datatype: string; readonly shape: bigint[] };

const specOf = ({
  name,
  datatype,
  shape,
}: {
  name: string;
  datatype: string;
  shape: readonly bigint[];
}): Spec => ({
  name,
  datatype,
  shape: [...shape],
});

/** Inputs and outputs, as ModelMetadata tells them. */
export const tensorsOf = (
  { encoder, tensors: plain }: Serving['base'],
  labels: readonly string[] | undefined,
): { readonly inputs: Spec[]; readonly outputs: Spec[] } => {
  if (plain !== undefined) {
    const specs = (list: typeof plain.inputs): Spec[] =>
      list.map(({ name, type, shape }) => ({ name, datatype: datatypeOf(type), shape: shape.map(BigInt) }));
    return { inputs: specs(plain.inputs), outputs: specs(plain.outputs) };
  }
  const { inputs, outputs } = encoder === undefined ? tensors : encoderTensors(encoder, labels);
  return { inputs: inputs.map(specOf), outputs: outputs.map(specOf) };
};
