import { applyEdit, integerAttribute, type Node, readGraph } from './graph.ts';
import { attributeMessages, withoutAttributes } from './messages.ts';

/** Tokens that GroupQueryAttention looks at, the own one included; -1 and 0 are all. */
const windowSize = 'local_window_size';

/** Tokens that a node of attention looks at; undefined where it looks at all. */
export const windowOf = (node: Node): number | undefined => {
  const window = integerAttribute(node, windowSize) ?? -1;
  return window > 0 ? window : undefined;
};

/** The node with another window, or with one. */
export const withWindow = (node: Node, tokens: number): Buffer =>
  Buffer.concat([
    withoutAttributes(node.bytes, [windowSize]),
    ...attributeMessages({ [windowSize]: tokens }),
  ]);

/** The graph with windows of so many tokens in place of larger ones: they can be crossed by short sequences. */
export const withNearWindows = (model: Buffer, tokens: number): Buffer => {
  const graph = readGraph(model);
  const far = graph.nodes.filter((node) => (windowOf(node) ?? 0) > tokens);
  const nodes = new Map(far.map((node) => [node, [withWindow(node, tokens)]]));
  return applyEdit(graph, { nodes, newInputs: [], staleShapes: new Set(), outputs: new Map() });
};
