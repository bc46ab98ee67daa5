import { applyEdit, attributeOf, type Graph, integerAttribute, type Node, readGraph } from './graph.ts';
import { integersMessage, nodeMessage, withInputs, withoutAttributes } from './messages.ts';
import { attributeField, nodeField } from './schema.ts';
import { contentField, mapFields } from './wire.ts';

const place = { query: 0, key: 1, queryNorm: 14, keyNorm: 15 } as const;
const epsilon = 'qk_norm_epsilon';

type Apart = {
  readonly nodes: readonly Buffer[];
  readonly initializers: readonly Buffer[];
  readonly value: string;
};

const reshape = (from: string, shape: string, to: string): Buffer =>
  nodeMessage({ opType: 'Reshape', name: to, inputs: [from, shape], outputs: [to] });

/** The nodes that the builder writes for the CPU: a norm over the features of each head. */
const normOf = (
  node: Node,
  which: 'query' | 'key',
  { heads, size }: { readonly heads: number; readonly size: number },
): Apart => {
  const name = (part: string): string => `${node.name}/${which}_norm/${part}`;
  const epsilonOf = attributeOf(node, epsilon) ?? Buffer.alloc(0);
  const named = mapFields(epsilonOf, (field) =>
    field.number === attributeField.name ? contentField(attributeField.name, 'epsilon') : undefined,
  );
  const norm = nodeMessage({
    opType: 'SimplifiedLayerNormalization',
    name: name('norm'),
    inputs: [name('heads'), node.inputs[place[`${which}Norm`]] ?? ''],
    outputs: [name('norm')],
    attributes: { axis: -1, stash_type: 1 },
  });
  return {
    nodes: [
      reshape(node.inputs[place[which]] ?? '', name('by_head'), name('heads')),
      Buffer.concat([norm, contentField(nodeField.attribute, named)]),
      reshape(name('norm'), name('together'), name('normed')),
    ],
    initializers: [
      integersMessage(name('by_head'), [0, -1, size]),
      integersMessage(name('together'), [0, -1, heads * size]),
    ],
    value: name('normed'),
  };
};

/** Undefined where attention has no norms, or takes query, key and value as one. */
const apartOf = (graph: Graph, node: Node): { readonly query: Apart; readonly key: Apart } | undefined => {
  const [size] = graph.initializers.get(node.inputs[place.queryNorm] ?? '')?.dims ?? [];
  if (node.opType !== 'GroupQueryAttention' || size === undefined || node.inputs[place.key] === '')
    return undefined;
  const norm = (which: 'query' | 'key', heads: string): Apart =>
    normOf(node, which, { heads: integerAttribute(node, heads) ?? 0, size });
  return { query: norm('query', 'num_heads'), key: norm('key', 'kv_num_heads') };
};

/**
 * The graph with norms of queries and keys as nodes of their own. The builder has attention compute them where it exports for a GPU
 * (Qwen3, Gemma 3), which attention on the CPU does not.
 * @throws MODEL_INVALID
 */
export const withNormsApart = (model: Buffer): Buffer => {
  const graph = readGraph(model);
  const found = graph.nodes.flatMap((node) => {
    const apart = apartOf(graph, node);
    return apart === undefined ? [] : [{ node, ...apart }];
  });
  if (found.length === 0) return model;
  return applyEdit(graph, {
    nodes: new Map(
      found.map(({ node, query, key }) => {
        const values = new Map([
          [place.query, query.value],
          [place.key, key.value],
          [place.queryNorm, ''],
          [place.keyNorm, ''],
        ]);
        const attention = withoutAttributes(withInputs(node, values), [epsilon]);
        return [node, [...query.nodes, ...key.nodes, attention]];
      }),
    ),
    newInitializers: found.flatMap(({ query, key }) => [...query.initializers, ...key.initializers]),
    newInputs: [],
    staleShapes: new Set(),
    outputs: new Map(),
  });
};
