import { AdaptletError } from '../../../errors/adaptlet-error.ts';
import { beforeCasts } from './constants.ts';
import { type Graph, integerAttribute, type Node } from './graph.ts';
import { elementType } from './schema.ts';

export type Features = { readonly inFeatures: number; readonly outFeatures: number };

const products: ReadonlySet<string> = new Set(['MatMul', 'Gemm', 'FusedMatMul']);

/**
 * Rows and columns of constant weights; optimum writes a tied lm_head as the transpose of the embedding, and weights of 16 bits are
 * widened.
 */
const weightShape = (graph: Graph, value: string): readonly number[] | undefined => {
  const stored = beforeCasts(graph, value);
  const constant = graph.initializers.get(stored);
  if (constant !== undefined) return constant.dims;
  const producer = graph.nodes.find((node) => node.outputs[0] === stored);
  if (producer?.opType !== 'Transpose') return undefined;
  const dims = graph.initializers.get(beforeCasts(graph, producer.inputs[0] ?? ''))?.dims;
  return dims?.length === 2 ? dims.toReversed() : undefined;
};

/** Features in and out of a MatMul, Gemm or MatMulNBits with constant weights; undefined for any other node. */
export const featuresOf = (graph: Graph, node: Node): Features | undefined => {
  if (node.opType === 'MatMulNBits') {
    return sized(integerAttribute(node, 'K'), integerAttribute(node, 'N'));
  }
  if (!products.has(node.opType)) return undefined;
  const [rows, columns, ...more] = weightShape(graph, node.inputs[1] ?? '') ?? [];
  if (more.length > 0) return undefined;
  return (integerAttribute(node, 'transB') ?? 0) === 0 ? sized(rows, columns) : sized(columns, rows);
};

/** Nothing can be added to what has no size. */
const sized = (inFeatures = 0, outFeatures = 0): Features | undefined =>
  inFeatures > 0 && outFeatures > 0 ? { inFeatures, outFeatures } : undefined;

const unsupported = (node: Node, what: string): AdaptletError =>
  new AdaptletError('MODEL_UNSUPPORTED', `Node ${node.name} ${what}`);

/**
 * Refuses a linear to which nothing can be added. What follows the product stays as it is: zero points, the order of
 * groups and a bias of MatMulNBits, alpha and beta of Gemm.
 * @throws MODEL_UNSUPPORTED
 */
export const checkForm = (graph: Graph, node: Node): void => {
  if (node.outputs.length !== 1) throw unsupported(node, `has ${node.outputs.length} outputs`);
  if ((integerAttribute(node, 'transA') ?? 0) !== 0)
    throw unsupported(node, 'multiplies its input transposed');
  // The optimiser moves a factor that follows a linear into it; LoRA would have to be scaled by it too.
  if (node.opType === 'FusedMatMul') throw unsupported(node, 'is fused with what follows it');
  const quantised = node.opType === 'MatMulNBits';
  const values = graph.initializers.get(node.inputs[quantised ? 2 : 1] ?? '');
  if (values !== undefined && values.dataType !== elementType.float) {
    throw unsupported(node, `computes in element type ${values.dataType}, not in float32`);
  }
  if (!quantised) return;
  const bits = integerAttribute(node, 'bits') ?? 4;
  if (bits !== 4 && bits !== 8) throw unsupported(node, `has weights of ${bits} bits, not 4 or 8`);
  if (node.inputs.length < 3) throw unsupported(node, `has ${node.inputs.length} inputs, not 3 or more`);
};
