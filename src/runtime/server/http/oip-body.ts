import { z } from 'zod';
import { quoteUntrusted } from '../../../errors/quote-untrusted.ts';
import { type InferParameter, ModelInferRequest } from '../../../gen/inference/grpc_service.ts';
import { honoured, objectOf } from '../fields/field.ts';
import { reader } from '../fields/parse.ts';
import { bytesOfValues, jsonOf } from '../oip/datatypes.ts';
import { type InferAnswer, type OutputTensor, servedParameters, write } from '../oip/response.ts';
import { refuse } from '../refuse.ts';

/** Bytes of the JSON at the head of a body; tensors follow it as bytes (Triton's binary tensor data extension). */
export const headLength = 'inference-header-content-length';

const text = z.string({ error: 'must be a string' });
const parameters = z.record(
  z.string(),
  z.union([z.string(), z.number(), z.boolean()], { error: 'must be a string, a number or a boolean' }),
);
type Parameters = Readonly<z.infer<typeof parameters>>;

const inputFields = {
  name: honoured(text),
  shape: honoured(z.array(z.int({ error: 'must be a whole number' }))),
  datatype: honoured(text),
  parameters: honoured(parameters.nullish()),
  data: honoured(z.array(z.unknown(), { error: 'must be a list' }).nullish()),
};
const outputFields = { name: honoured(text), parameters: honoured(parameters.nullish()) };

const readBody = reader({
  id: honoured(text.nullish()),
  // KServe's client says it here as well.
  model_name: honoured(text.nullish()),
  parameters: honoured(parameters.nullish()),
  inputs: honoured(z.array(objectOf(inputFields)), inputFields),
  outputs: honoured(z.array(objectOf(outputFields)).nullish(), outputFields),
});
type Input = ReturnType<typeof readBody>['inputs'][number];

/** Lists in lists that a tensor may be written as. */
const maxDepth = 16;

/** Elements in row-major order, of a flat list or of one that is nested as the shape is. */
const flat = (name: string, data: readonly unknown[]): readonly unknown[] => {
  let values = data;
  for (let depth = 1; values.some(Array.isArray); depth += 1) {
    if (depth > maxDepth) refuse(`input ${name} has data of more than ${maxDepth} lists in each other`);
    values = values.flat();
  }
  return values;
};

const bytesOfInput = ({ name, datatype, shape, data }: Input): Buffer => {
  if (data === undefined || data === null)
    return refuse(`input ${name} has neither data nor the parameter binary_data_size`);
  const values = flat(name, data);
  const elements = shape.reduce((product, size) => product * size, 1);
  if (values.length !== elements)
    refuse(`input ${name} has ${values.length} elements of data for shape [${shape.join(',')}]`);
  return bytesOfValues(name, datatype, values);
};

/** Bytes of each input: from behind the JSON where it says how many are its own, else from its data. */
const bytesOfInputs = (inputs: readonly Input[], tail: Buffer): Buffer[] => {
  let at = 0;
  const all = inputs.map((input) => {
    const size = input.parameters?.['binary_data_size'];
    if (size === undefined) return bytesOfInput(input);
    if (input.data !== undefined && input.data !== null)
      return refuse(`input ${input.name} has data, and binary_data_size as well`);
    if (typeof size !== 'number' || !Number.isSafeInteger(size) || size < 0 || at + size > tail.length)
      return refuse(
        `input ${input.name} has binary_data_size ${size}, and ${tail.length - at} bytes are left`,
      );
    at += size;
    return tail.subarray(at - size, at);
  });
  if (at !== tail.length) refuse(`${tail.length - at} bytes behind the JSON belong to no input`);
  return all;
};

const without = (given: Parameters | null | undefined, name: string): Record<string, InferParameter> =>
  Object.fromEntries(
    Object.entries(given ?? {}).flatMap(([key, value]) => (key === name ? [] : [[key, parameterOf(value)]])),
  );

const parameterOf = (value: Parameters[string]): InferParameter => {
  if (typeof value === 'string') return { parameterChoice: { $case: 'stringParam', value } };
  if (typeof value === 'boolean') return { parameterChoice: { $case: 'boolParam', value } };
  return { parameterChoice: { $case: 'doubleParam', value } };
};

/** A request, and which of its outputs are wanted as bytes. */
export type RestRequest = {
  readonly request: ModelInferRequest;
  readonly isBinary: (output: string) => boolean;
};

/**
 * Reads the JSON of a request and what follows it. All inputs become raw contents, as gRPC has them.
 * @throws REQUEST_INVALID, REQUEST_UNSUPPORTED; both name the field
 */
export const readInfer = (
  model: { readonly modelName: string; readonly modelVersion: string },
  body: unknown,
  tail: Buffer,
): RestRequest => {
  const { id, model_name: named, parameters: own, inputs, outputs } = readBody(body);
  if ((named ?? model.modelName) !== model.modelName)
    refuse(`model_name is ${quoteUntrusted(named ?? '')}, the path has ${quoteUntrusted(model.modelName)}`);
  const all = own?.['binary_data_output'] === true;
  const wishes = new Map((outputs ?? []).map((output) => [output.name, output.parameters?.['binary_data']]));
  const request = ModelInferRequest.fromPartial({
    ...model,
    id: id ?? '',
    parameters: without(own, 'binary_data_output'),
    inputs: inputs.map(({ name, datatype, shape, parameters: given }) => ({
      name,
      datatype,
      shape: shape.map(BigInt),
      parameters: without(given, 'binary_data_size'),
    })),
    outputs: (outputs ?? []).map(({ name, parameters: given }) => ({
      name,
      parameters: without(given, 'binary_data'),
    })),
    rawInputContents: bytesOfInputs(inputs, tail),
  });
  return { request, isBinary: (output) => (wishes.get(output) ?? all) === true };
};

/** The parameters of an answer as JSON has them. */
const plainParameters = ({ id, served, counts }: InferAnswer): Record<string, unknown> =>
  Object.fromEntries(
    Object.entries(servedParameters(id, served, counts)).map(([name, { parameterChoice: choice }]) => [
      name,
      typeof choice?.value === 'bigint' ? Number(choice.value) : choice?.value,
    ]),
  );

const dataOf = (output: OutputTensor): string =>
  'texts' in output ? JSON.stringify(output.texts) : jsonOf(output);

/** The answer: JSON, and behind it the outputs that are wanted as bytes. */
export const inferBody = (
  { request, isBinary }: RestRequest,
  answer: InferAnswer,
): { readonly json: Buffer; readonly tail: readonly Buffer[] } => {
  const tail: Buffer[] = [];
  const outputs = answer.outputs.map((output) => {
    const { tensor, raw } = write(output);
    const head = JSON.stringify({ ...tensor, shape: tensor.shape.map(Number) }).slice(0, -1);
    if (!isBinary(output.name)) return `${head},"data":${dataOf(output)}}`;
    const bytes = raw();
    tail.push(bytes);
    return `${head},"parameters":{"binary_data_size":${bytes.length}}}`;
  });
  const head = JSON.stringify({
    model_name: request.modelName,
    model_version: answer.served.digest,
    ...(request.id === '' ? {} : { id: request.id }),
    parameters: plainParameters(answer),
  }).slice(0, -1);
  return { json: Buffer.from(`${head},"outputs":[${outputs.join(',')}]}`), tail };
};
