import type { ModelInferRequest } from '../../../gen/inference/grpc_service.ts';
import type { EncodeResult, EncoderInfo, EncoderText } from '../../engine/tasks.ts';
import type { EncodeRequest } from '../../serving/serving.ts';
import { refuse } from '../refuse.ts';
import { refuseTensorParameters } from './parameters.ts';
import { askedOutputs, type OutputTensor } from './response.ts';
import { inputData, readTexts } from './tensors.ts';

const classification = ['label', 'probabilities', 'logits'] as const;
const known = ['embedding', ...classification];

type Spec = { readonly name: string; readonly datatype: string; readonly shape: readonly bigint[] };

/** Tensors of an encoder, as ModelMetadata tells them: of an adapter that classifies, with its labels. -1: any size. */
export const encoderTensors = (
  { dimensions }: EncoderInfo,
  labels: readonly string[] | undefined,
): { readonly inputs: readonly Spec[]; readonly outputs: readonly Spec[] } => {
  const embedding = { name: 'embedding', datatype: 'FP32', shape: [-1n, BigInt(dimensions)] };
  const count = BigInt(labels?.length ?? 0);
  const classes = [
    { name: 'label', datatype: 'BYTES', shape: [-1n] },
    { name: 'probabilities', datatype: 'FP32', shape: [-1n, count] },
    { name: 'logits', datatype: 'FP32', shape: [-1n, count] },
  ];
  return {
    inputs: [{ name: 'text', datatype: 'BYTES', shape: [-1n] }],
    outputs: labels === undefined ? [embedding] : [...classes, embedding],
  };
};

/**
 * The texts: the one input `text`.
 * @throws REQUEST_INVALID
 */
export const readEncoderTexts = (request: ModelInferRequest): readonly EncoderText[] => {
  const inputs = inputData(request);
  const [input] = inputs;
  if (inputs.length !== 1 || input?.tensor.name !== 'text') {
    const names = inputs.map(({ tensor }) => tensor.name);
    return refuse(`the inputs are [${names.join(', ')}], there must be exactly one: text`);
  }
  refuseTensorParameters('input text', input.tensor.parameters);
  return readTexts(input).map((text) => ({ kind: 'text', text }));
};

/**
 * What the outputs that are asked for need: a run gives embeddings or a classification.
 * @throws REQUEST_INVALID
 */
export const readEncoderOutput = (request: ModelInferRequest): EncodeRequest['output'] => {
  const asked = askedOutputs(request, known);
  if (request.outputs.length === 0) return 'any';
  if (!asked.includes('embedding')) return 'classification';
  return asked.length === 1
    ? 'embedding'
    : refuse('the output embedding has to be asked for by itself: the model gives it by another run');
};

const matrix = (name: string, rows: readonly (Float32Array | readonly number[])[]): OutputTensor => {
  const values = Float32Array.from(rows.flatMap((row) => [...row]));
  const shape = [rows.length, rows[0]?.length ?? 0];
  return { name, type: 'float32', shape, data: new Uint8Array(values.buffer) };
};

/** The outputs of an answer that are asked for; without any, the whole answer. */
export const encoderOutputs = (request: ModelInferRequest, result: EncodeResult): readonly OutputTensor[] => {
  if (result.kind === 'embedding') return [matrix('embedding', result.rows)];
  const { rows } = result;
  const all: Readonly<Record<(typeof classification)[number], () => OutputTensor>> = {
    label: () => ({ name: 'label', texts: rows.map(({ label }) => label) }),
    probabilities: () =>
      matrix(
        'probabilities',
        rows.map(({ probabilities }) => probabilities),
      ),
    logits: () =>
      matrix(
        'logits',
        rows.map(({ logits }) => logits),
      ),
  };
  const asked = request.outputs.map(({ name }) => name);
  const order = asked.length === 0 ? classification : classification.filter((name) => asked.includes(name));
  return order
    .toSorted((a, b) => (asked.length === 0 ? 0 : asked.indexOf(a) - asked.indexOf(b)))
    .map((name) => all[name]());
};
