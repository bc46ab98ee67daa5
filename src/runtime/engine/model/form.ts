import { basename } from 'node:path';
import { AdaptletError } from '../../../errors/adaptlet-error.ts';
import { type Graph, tensorsOf } from '../onnx/graph.ts';
import { growthOfHalves, inFloat32 } from '../onnx/in-float32.ts';
import { exportAgain, howTo, suggestedOf } from './graph-file.ts';

/** A graph as it lies in the model: its name, and those of the other graphs, relative to the model's folder. */
export type GraphPlace = { readonly file: string; readonly others: readonly string[] };

const adviceFor = ({ others }: GraphPlace): string => {
  const other = suggestedOf(others);
  return other === undefined
    ? `Take the model with 4-bit, float16 or float32 weights, or export it so: ${howTo}.`
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

const unsupported = (what: string, advice: string): AdaptletError =>
  new AdaptletError('MODEL_UNSUPPORTED', what, { advice });

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
};

/**
 * {@link refuseForeignForm} of a decoder.
 * @throws MODEL_UNSUPPORTED
 */
export const refuseForeignDecoder = (graph: Graph, place: GraphPlace): void => {
  const name = basename(place.file);
  const inputs = tensorsOf(graph, 'inputs');
  if (inputs.some((input) => input.name === 'use_cache_branch')) {
    const what = `${name} is two graphs in one, for prompts and for what follows (use_cache_branch)`;
    throw unsupported(what, exportAgain);
  }
  if (!inputs.some((input) => input.name.startsWith('past_key_values.'))) {
    throw unsupported(`${name} has no inputs for keys and values (past_key_values)`, exportAgain);
  }
  refuseForeignForm(graph, place);
};

/** The graph as it is served: one of 16 bits in float32, of which `warn` is told what somebody should know. */
export const servedForm = (
  exported: Graph,
  { file }: Pick<GraphPlace, 'file'>,
  warn: (message: string) => void,
): Graph => {
  const graph = inFloat32(exported);
  if (graph !== exported) {
    const mebibytes = Math.ceil(growthOfHalves(graph) / 2 ** 20);
    warn(
      `${basename(file)} is in float16 or bfloat16, and served in float32: its weights take ${mebibytes} MiB more memory than they have bytes, and where two tokens are nearly alike an answer can be another one than in 16 bits`,
    );
  }
  return graph;
};
