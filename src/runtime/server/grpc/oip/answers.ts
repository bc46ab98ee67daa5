import type { ModelInferRequest, ModelInferResponse } from '../../../../gen/inference/grpc_service.ts';
import type { ServedBy } from '../../../routing/request.ts';
import type { Serving } from '../../../serving/serving.ts';
import { requestContext } from '../../context.ts';
import { encodeRequest } from '../../encode-options.ts';
import type { Exchange, Parts } from '../../exchange.ts';
import type { Asking } from '../call.ts';
import { datatypeOf, readTensor } from './datatypes.ts';
import { encoderOutputs, encoderTensors, readEncoderOutput, readEncoderTexts } from './encode.ts';
import { tensors } from './infer.ts';
import { readIdentityParameters } from './parameters.ts';
import { askedOutputs, tensorsResponse } from './response.ts';
import { inputData } from './tensors.ts';

export type InferCall = {
  readonly request: ModelInferRequest;
  readonly asking: Asking;
  readonly exchange: Exchange;
  readonly parts: Parts;
};
export type InferAnswer = {
  readonly id: string;
  readonly served: ServedBy;
  readonly response: ModelInferResponse;
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
    (serving, signal) => serving.encode(context, wanted, signal),
    ({ promptTokens }) => promptTokens,
  );
  const counts = { prompt_tokens: result.promptTokens, truncated: result.truncated.length };
  return { id, served, response: tensorsResponse(request, served, counts, encoderOutputs(request, result)) };
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
    (serving, signal) => serving.infer(context, { inputs }, signal),
    () => 0,
  );
  const outputs = asked.flatMap((name) => result.outputs.filter((output) => output.name === name));
  return { id, served, response: tensorsResponse(request, served, {}, outputs) };
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
