import { applyEdit, type Graph, integerAttribute, readGraph } from './graph.ts';
import { withoutAttributes } from './messages.ts';

/** Lets a kernel round activations, to 8 bits at level 4. */
const accuracyLevel = 'accuracy_level';
/** The first level that is less exact than float32. */
const firstRounded = 2;
/** Linears that take activations of 8 bits. */
const roundedLinears: ReadonlySet<string> = new Set([
  'DynamicQuantizeLinear',
  'DynamicQuantizeMatMul',
  'MatMulInteger',
  'MatMulIntegerToFloat',
]);

/** True where a kernel may round activations: steps of another shape then give answers that differ by more than the last bits. */
export const roundsActivations = ({ nodes }: Pick<Graph, 'nodes'>): boolean =>
  nodes.some(
    (node) =>
      roundedLinears.has(node.opType) ||
      (node.opType === 'MatMulNBits' && (integerAttribute(node, accuracyLevel) ?? 0) >= firstRounded),
  );

/**
 * The graph with float32 activations in its quantised linears: what its weights mean, without the rounding that a kernel
 * adds to be fast. That rounding is another one in each provider.
 */
export const withExactActivations = (model: Buffer): Buffer => {
  const graph = readGraph(model);
  const nodes = new Map(
    graph.nodes
      .filter(({ opType }) => opType === 'MatMulNBits')
      .map((node) => [node, [withoutAttributes(node.bytes, [accuracyLevel])]] as const),
  );
  if (nodes.size === 0) return model;
  return applyEdit(graph, {
    nodes,
    newInputs: [],
    staleShapes: new Set(),
    outputs: new Map(),
    shapes: new Map(),
  });
};
