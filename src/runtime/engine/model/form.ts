import { basename } from 'node:path';
import { AdaptletError } from '../../../errors/adaptlet-error.ts';
import { type Graph, type Node, tensorsOf } from '../onnx/graph.ts';
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

/** Linears of quantisers that round inputs in nodes of their own, or have their own formats. */
const foreignLinears: ReadonlySet<string> = new Set([
  'MatMulInteger',
  'DynamicQuantizeMatMul',
  'MatMulIntegerToFloat',
  'QLinearMatMul',
  'MatMulBnb4',
]);

const isCache = (name: string): boolean => name.startsWith('past_key_values.') || name.startsWith('present.');

const unsupported = (what: string, advice: string): AdaptletError =>
  new AdaptletError('MODEL_UNSUPPORTED', what, { advice });

/** Where the values of a linear are, among its inputs; of one with 4 or 8 bits its scales. */
const valuesAt: Readonly<Record<string, number>> = { MatMul: 1, Gemm: 1, MatMulNBits: 2 };

const isHalfLinear = ({ initializers }: Graph, { opType, inputs }: Node): boolean => {
  const at = valuesAt[opType];
  return at !== undefined && initializers.get(inputs[at] ?? '')?.dataType === elementType.float16;
};

/**
 * Refuses what exporters write for other runtimes, with what to take instead.
 * @throws MODEL_UNSUPPORTED
 */
export const refuseForeignForm = (graph: Graph, place: GraphPlace): void => {
  const name = basename(place.file);
  const foreign = graph.nodes.find(({ opType }) => foreignLinears.has(opType));
  if (foreign !== undefined) {
    const what = `${name} has its linears as ${foreign.opType}, to which no adapter can be added`;
    throw unsupported(what, adviceFor(place));
  }
  if (graph.nodes.some((node) => isHalfLinear(graph, node))) {
    throw unsupported(`${name} has its linears in float16, and adapters are float32`, adviceFor(place));
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
    const what = `${name} is two graphs in one, for prompts and for what follows (use_cache_branch)`;
    throw unsupported(what, exportAgain);
  }
  if (!inputs.some((input) => isCache(input.name))) {
    throw unsupported(`${name} has no inputs for keys and values (past_key_values)`, exportAgain);
  }
  const half = [...inputs, ...outputs].find(
    (tensor) => (isCache(tensor.name) || tensor.name === 'logits') && tensor.code === elementType.float16,
  );
  if (half !== undefined) {
    const what = half.name === 'logits' ? 'logits' : 'keys and values';
    throw unsupported(`${name} has ${what} in float16, and the engine has them in float32`, adviceFor(place));
  }
  refuseForeignForm(graph, place);
};
