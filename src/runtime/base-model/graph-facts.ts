import { readFileSync } from 'node:fs';
import { roundsActivations } from '../engine/onnx/exact-activations.ts';
import { type Graph, integerAttribute, readGraph } from '../engine/onnx/graph.ts';
import { elementType } from '../engine/onnx/schema.ts';

/** What a graph says of the model without its weights. */
export type GraphFacts = {
  /** Numbers that were trained, as many as the graph's tensors and quantised linears hold. */
  readonly parameters: number;
  /** What most of them are stored as, of a quantised model those of its linears: float32, float16, bfloat16, int8, int4… */
  readonly precision: string;
  /** Files with the weights, relative to the graph, sorted; none when they are in it. */
  readonly weightFiles: readonly string[];
  /** Linears in int4 and int8, and those of them that take float32 activations: a token of such a one takes far longer on a CPU. */
  readonly quantised: { readonly linears: number; readonly exact: number };
  /** Bytes of the graph's file. */
  readonly bytes: number;
};

/** Of TensorProto.DataType. */
const precisions: ReadonlyMap<number, string> = new Map([
  [elementType.float, 'float32'],
  [10, 'float16'],
  [16, 'bfloat16'],
  [2, 'int8'],
  [3, 'int8'],
  [21, 'int4'],
  [22, 'int4'],
]);

const product = (dims: readonly number[]): number => dims.reduce((all, size) => all * size, 1);

/** Blocks of a quantised linear come with scales and zero points, which are no parameters of the model. */
const quantised = (graph: Graph, counts: Map<string, number>): ReadonlySet<string> => {
  const known = new Set<string>();
  for (const node of graph.nodes) {
    if (node.opType !== 'MatMulNBits') continue;
    const [, values = '', ...rest] = node.inputs;
    const parameters = (integerAttribute(node, 'K') ?? 0) * (integerAttribute(node, 'N') ?? 0);
    if (!known.has(values)) add(counts, `int${integerAttribute(node, 'bits') ?? 4}`, parameters);
    for (const name of [values, ...rest]) known.add(name);
  }
  return known;
};

const add = (counts: Map<string, number>, precision: string, parameters: number): void => {
  counts.set(precision, (counts.get(precision) ?? 0) + parameters);
};

const linearsOf = ({ nodes }: Graph): GraphFacts['quantised'] => {
  const linears = nodes.filter(({ opType }) => opType === 'MatMulNBits');
  const exact = linears.filter((node) => !roundsActivations({ nodes: [node] }));
  return { linears: linears.length, exact: exact.length };
};

export const graphFactsOf = (graph: Graph): GraphFacts => {
  const counts = new Map<string, number>();
  const known = quantised(graph, counts);
  const linears = new Map(counts);
  const weightFiles = new Set<string>();
  for (const [name, { dims, dataType, location }] of graph.initializers) {
    if (location !== undefined) weightFiles.add(location);
    const precision = precisions.get(dataType);
    if (precision !== undefined && !known.has(name)) add(counts, precision, product(dims));
  }
  const [[precision] = ['float32']] = [...(linears.size > 0 ? linears : counts)].sort(
    ([, a], [, b]) => b - a,
  );
  return {
    parameters: [...counts.values()].reduce((sum, count) => sum + count, 0),
    precision,
    weightFiles: [...weightFiles].sort(),
    quantised: linearsOf(graph),
    bytes: graph.model.length,
  };
};

/**
 * Reads the graph in a file, whole.
 * @throws AdaptletError MODEL_INVALID
 */
export const readGraphFacts = (path: string): GraphFacts => graphFactsOf(readGraph(readFileSync(path)));
