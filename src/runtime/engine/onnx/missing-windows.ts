import { windowOf, withWindow } from './attention-windows.ts';
import { applyEdit, type Node, readGraph } from './graph.ts';

/** Layers in which a token looks at so many tokens at most, its own included. */
export type Windows = { readonly tokens: number; readonly layers: readonly number[] };

/** By its cache, input 3. */
const layerOf = ({ inputs }: Node): number => {
  const [, layer = 'NaN'] = /^past_key_values\.(\d+)\.key$/.exec(inputs[3] ?? '') ?? [];
  return Number(layer);
};

/**
 * The graph with windows where its model has them. The builder leaves out those of models whose configuration has no `layer_types`
 * (Mistral 0.1, Phi-3-mini-4k). A graph with windows of its own, or without GroupQueryAttention in such a layer, is left alone.
 * @throws MODEL_INVALID
 */
export const withMissingWindows = (model: Buffer, windows: Windows | undefined): Buffer => {
  if (windows === undefined || windows.layers.length === 0) return model;
  const graph = readGraph(model);
  const attention = graph.nodes.filter(({ opType }) => opType === 'GroupQueryAttention');
  if (attention.some((node) => windowOf(node) !== undefined)) return model;
  const byLayer = new Map(attention.map((node) => [layerOf(node), node]));
  const nodes = new Map<Node, readonly Buffer[]>();
  for (const layer of windows.layers) {
    const node = byLayer.get(layer);
    if (node === undefined) return model;
    nodes.set(node, [withWindow(node, windows.tokens)]);
  }
  return applyEdit(graph, { nodes, newInputs: [], staleShapes: new Set(), outputs: new Map() });
};
