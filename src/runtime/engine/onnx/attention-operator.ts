import { applyEdit, type GraphTensor, integerAttribute, type Node, readGraph, tensorsOf } from './graph.ts';
import { attributeMessages, withDomain } from './messages.ts';
import { elementType, operatorDomain } from './schema.ts';

const attention = 'GroupQueryAttention';
/** Inputs that the native operator has: see native/attention.c. A bias is not among them, and no scales of int8. */
const known = new Set([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 11]);
const place = { key: 1, value: 2, pastKey: 3, cosines: 7 } as const;
/** As native/attend.h has it. */
const sizes = { multiple: 16, most: 256 } as const;

/** A node of attention, the sizes of its heads, and how many pairs of features positions turn. */
export type AttentionNode = {
  readonly node: Node;
  readonly heads: number;
  readonly kvHeads: number;
  readonly size: number;
  readonly pairs: number;
};

/** Threads for which native/attention.c cuts a step into tasks without being told. */
const usualThreads = 8;

/** The node by the native operator, for so many threads. */
export const ownAttention = (node: Node, threads: number): Buffer =>
  Buffer.concat([
    withDomain(node, operatorDomain),
    ...(threads > usualThreads ? attributeMessages({ threads }) : []),
  ]);

/** What the native operator does not do of a node, or undefined. */
const lackOf = (node: Node, past: GraphTensor | undefined): string | undefined => {
  const unknown = node.inputs.findIndex((name, at) => name !== '' && !known.has(at));
  if (unknown >= 0) return `input ${unknown}`;
  if (((node.inputs[place.key] ?? '') === '') !== ((node.inputs[place.value] ?? '') === ''))
    return 'keys without values';
  if (node.outputs.length !== 3 || node.outputs.includes('')) return 'its outputs';
  if ((integerAttribute(node, 'qk_output') ?? 0) !== 0) return 'qk_output';
  if (past?.code !== elementType.float) return 'keys and values that are not float32';
  return undefined;
};

/** Attention of a graph, and the graph with attention by the native operator. */
type NativeAttention = { readonly nodes: readonly AttentionNode[]; readonly model: Buffer };

/**
 * Attention by the native operator, of heads of `size` features, which gives a token the same bits whatever else a step computes; or what that does not do.
 * Undefined where the graph has no such attention.
 * @throws MODEL_INVALID
 */
export const nativeAttention = (
  model: Buffer,
  size: number,
  threads: number,
): NativeAttention | { readonly lacks: string } | undefined => {
  const graph = readGraph(model);
  const pasts = new Map(tensorsOf(graph, 'inputs').map((info) => [info.name, info]));
  const nodes: AttentionNode[] = [];
  for (const node of graph.nodes) {
    if (node.opType !== attention) continue;
    const lacks = lackOf(node, pasts.get(node.inputs[place.pastKey] ?? ''));
    if (lacks !== undefined) return { lacks: `${lacks} of ${node.name}` };
    if (size % sizes.multiple !== 0 || size > sizes.most) return { lacks: `heads of ${size} features` };
    nodes.push({
      node,
      heads: integerAttribute(node, 'num_heads') ?? 0,
      kvHeads: integerAttribute(node, 'kv_num_heads') ?? 0,
      size,
      pairs: graph.initializers.get(node.inputs[place.cosines] ?? '')?.dims[1] ?? size / 2,
    });
  }
  if (nodes.length === 0) return undefined;
  const edited = applyEdit(graph, {
    nodes: new Map(nodes.map(({ node }) => [node, [ownAttention(node, threads)]])),
    newInputs: [],
    staleShapes: new Set(),
    outputs: new Map(),
    domains: [operatorDomain],
  });
  return { nodes, model: edited };
};
