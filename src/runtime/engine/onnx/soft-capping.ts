import { AdaptletError } from '../../../errors/adaptlet-error.ts';
import { producersOf } from './constants.ts';
import { floatAttribute, type Graph, type Node } from './graph.ts';

/** Between the product of queries and keys, and the shares that it becomes. */
const between: ReadonlySet<string> = new Set(['Add', 'Cast', 'Div', 'Mul', 'Reshape', 'Transpose', 'Where']);

/** True where a Tanh comes before a Softmax, without a product in between. */
const isCapped = (softmax: Node, producers: ReadonlyMap<string, Node>): boolean => {
  const seen = new Set<string>();
  const open = [...softmax.inputs];
  for (let value = open.pop(); value !== undefined; value = open.pop()) {
    const node = producers.get(value);
    if (node === undefined || seen.has(value)) continue;
    seen.add(value);
    if (node.opType === 'Tanh') return true;
    if (between.has(node.opType)) open.push(...node.inputs);
  }
  return false;
};

/**
 * Refuses a graph without the soft-capping of attention that its model has: exporters trace attention in a form that leaves it
 * out without a word.
 * @throws MODEL_UNSUPPORTED
 */
export const checkSoftCapping = (graph: Graph): void => {
  const producers = producersOf(graph);
  const uncapped = graph.nodes.find((node) =>
    node.opType === 'GroupQueryAttention'
      ? !((floatAttribute(node, 'softcap') ?? 0) > 0)
      : node.opType === 'Softmax' && !isCapped(node, producers),
  );
  if (uncapped === undefined) return;
  throw new AdaptletError(
    'MODEL_UNSUPPORTED',
    `Node ${uncapped.name} has no soft-capping; the model's configuration says \`attn_logit_softcapping\``,
    { advice: 'Export the base model with its eager attention, or with the builder of ONNX Runtime GenAI.' },
  );
};
