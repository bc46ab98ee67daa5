import { applyEdit, integerAttribute, readGraph } from './graph.ts';
import { withoutAttributes } from './messages.ts';

/** Attention whose keys and values are those of its window only, in memory of its own form. */
const windowCache = 'sliding_window_cache';

/**
 * The graph with all keys and values in the cache of every layer. The builder lets layers with a window keep those of the window
 * only (`windowed_kv_cache`, its default), in a cache that does not grow. What they look at stays the same: `local_window_size`.
 * @throws MODEL_INVALID
 */
export const withWholeCaches = (model: Buffer): Buffer => {
  const graph = readGraph(model);
  const windowed = graph.nodes.filter((node) => (integerAttribute(node, windowCache) ?? 0) !== 0);
  if (windowed.length === 0) return model;
  return applyEdit(graph, {
    nodes: new Map(windowed.map((node) => [node, [withoutAttributes(node.bytes, [windowCache])]])),
    newInputs: [],
    staleShapes: new Set(),
    outputs: new Map(),
  });
};
