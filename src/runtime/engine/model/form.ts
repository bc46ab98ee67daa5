import { basename } from 'node:path';
import { AdaptletError } from '../../../errors/adaptlet-error.ts';
import { type Graph, tensorsOf } from '../onnx/graph.ts';
import { elementType } from '../onnx/schema.ts';
import { exportAgain, howTo, suggestedOf } from './graph-file.ts';

/** A graph as it lies in the model: its name, and those of the other graphs, relative to the model's folder. */
export type GraphPlace = { readonly file: string; readonly others: readonly string[] };

const adviceFor = ({ others }: GraphPlace): string => {
  const other = suggestedOf(others);
  return other === undefined
    ? `Take the model with 4-bit or float32 weights between float32 inputs and outputs, or export it so: ${howTo}.`
    : `Take ${other}: --model-file ${other}.`;
};

/** Linears that a quantiser made of integers, with the rounding of their input as nodes of their own. */
const integerLinears: ReadonlySet<string> = new Set([
  'MatMulInteger',
  'DynamicQuantizeMatMul',
  'MatMulIntegerToFloat',
  'QLinearMatMul',
]);
const quantiserOfBitsAndBytes = 'MatMulBnb4';

const isCache = (name: string): boolean => name.startsWith('past_key_values.') || name.startsWith('present.');

const unsupported = (what: string, advice: string): AdaptletError =>
  new AdaptletError('MODEL_UNSUPPORTED', what, { advice });

/**
 * Refuses what exporters write for other runtimes, with what to take instead.
 * @throws MODEL_UNSUPPORTED
 */
export const refuseForeignForm = (graph: Graph, place: GraphPlace): void => {
  const name = basename(place.file);
  const integers = graph.nodes.find(
    ({ opType }) => integerLinears.has(opType) || opType === quantiserOfBitsAndBytes,
  );
  if (integers !== undefined) {
    throw unsupported(
      `${name} has its linears as ${integers.opType}, to which no adapter can be added`,
      adviceFor(place),
    );
  }
};

/**
 * {@link refuseForeignForm} of a decoder.
 * @throws MODEL_UNSUPPORTED
 */
export const refuseForeignDecoder = (graph: Graph, place: GraphPlace): void => {
  const name = basename(place.file);
  const [inputs, outputs] = [tensorsOf(graph, 'inputs'), tensorsOf(graph, 'outputs')];
  if (inputs.some((input) => input.name === 'use_cache_branch')) {
    throw unsupported(
      `${name} is two graphs in one, for prompts and for what follows (use_cache_branch)`,
      exportAgain,
    );
  }
  if (!inputs.some((input) => isCache(input.name))) {
    throw unsupported(`${name} has no inputs for keys and values (past_key_values)`, exportAgain);
  }
  refuseForeignForm(graph, place);
  const half = [...inputs, ...outputs].find(
    (tensor) => (isCache(tensor.name) || tensor.name === 'logits') && tensor.code === elementType.float16,
  );
  if (half !== undefined) {
    const what = half.name === 'logits' ? 'logits' : 'keys and values';
    throw unsupported(
      `${name} has ${what} in float16, and the engine keeps them in float32`,
      adviceFor(place),
    );
  }
};
