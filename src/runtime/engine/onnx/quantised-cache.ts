import { AdaptletError } from '../../../errors/adaptlet-error.ts';
import {
  applyEdit,
  type Graph,
  integerAttribute,
  type Node,
  readGraph,
  tensorsOf,
  textAttribute,
} from './graph.ts';
import {
  attributeMessages,
  floatsMessage,
  valueInfoMessage,
  withInputs,
  withoutAttributes,
} from './messages.ts';
import { elementType } from './schema.ts';

const attention = 'GroupQueryAttention';
/** Inputs and outputs of it: keys and values of earlier tokens, those with this step's, and what an int8 stands for. */
const place = {
  pastKey: 3,
  pastValue: 4,
  cosines: 7,
  keyScale: 12,
  valueScale: 13,
  presentKey: 1,
  presentValue: 2,
};

/** Attributes of attention that stores int8: one scale for each channel of each head. */
const int8Cache = {
  k_quant_type: 'PER_CHANNEL',
  v_quant_type: 'PER_CHANNEL',
  kv_cache_bit_width: 8,
} as const;

/** Keys or values of one layer. */
export type CacheEntry = {
  readonly node: Node;
  readonly past: string;
  readonly present: string;
  readonly scaleAt: number;
  /** Channels that a position turns into each other, where attention does that: those of each of so many pairs. */
  readonly pairs?: { readonly count: number; readonly interleaved: boolean };
};

const unsupported = (what: string): AdaptletError =>
  new AdaptletError('MODEL_UNSUPPORTED', what, { advice: 'Take --kv-precision float32.' });

const pairsOf = ({ initializers }: Graph, node: Node): CacheEntry['pairs'] => {
  const count = initializers.get(node.inputs[place.cosines] ?? '')?.dims[1];
  if (integerAttribute(node, 'do_rotary') !== 1 || count === undefined) return undefined;
  return { count, interleaved: integerAttribute(node, 'rotary_interleaved') === 1 };
};

/**
 * The keys and values of all layers.
 * @throws MODEL_UNSUPPORTED where anything but attention that can store int8 takes or makes one
 */
export const cacheEntries = (graph: Graph): readonly CacheEntry[] => {
  const entries: CacheEntry[] = [];
  for (const node of graph.nodes) {
    if (node.opType !== attention) continue;
    // ONNX Runtime's optimiser writes down what attributes are by default.
    if ((textAttribute(node, 'k_quant_type') ?? 'NONE') !== 'NONE')
      throw unsupported(`The keys and values of ${node.name} are quantised already`);
    const [past, value] = [node.inputs[place.pastKey] ?? '', node.inputs[place.pastValue] ?? ''];
    const [present, made] = [node.outputs[place.presentKey] ?? '', node.outputs[place.presentValue] ?? ''];
    const pairs = pairsOf(graph, node);
    entries.push(
      { node, past, present, scaleAt: place.keyScale, ...(pairs === undefined ? {} : { pairs }) },
      { node, past: value, present: made, scaleAt: place.valueScale },
    );
  }
  const pasts = new Set(entries.map(({ past }) => past));
  const all = graph.inputs.filter((name) => name.startsWith('past_key_values.'));
  const direct = entries.every(({ past, present }) => all.includes(past) && graph.outputs.includes(present));
  const taken = graph.nodes.flatMap(({ inputs }) => inputs.filter((input) => pasts.has(input)));
  if (entries.length === 0 || pasts.size !== all.length || !direct || taken.length !== entries.length)
    throw unsupported(`The keys and values of the graph are not those of ${attention} alone`);
  return entries;
};

/**
 * The graph with keys and values that are stored as int8. `scales`: what 1 stands for in each channel of each head, by the
 * name of the input with earlier ones. Attention rounds what it stores, and multiplies what it reads.
 * @throws MODEL_UNSUPPORTED, MODEL_INVALID
 */
export const quantiseCache = (model: Buffer, scales: ReadonlyMap<string, Float32Array>): Buffer => {
  const graph = readGraph(model);
  const entries = cacheEntries(graph);
  const shapes = new Map(
    [...tensorsOf(graph, 'inputs'), ...tensorsOf(graph, 'outputs')].map(({ name, shape }) => [name, shape]),
  );
  const info = (name: string): [string, Buffer] => [
    name,
    valueInfoMessage(name, elementType.int8, shapes.get(name)),
  ];
  const nodes = new Map<Node, readonly Buffer[]>();
  for (const { node } of entries) {
    const own = entries.filter((entry) => entry.node === node);
    const inputs = withInputs(node, new Map(own.map(({ scaleAt, past }) => [scaleAt, `${past}.scale`])));
    nodes.set(node, [
      Buffer.concat([withoutAttributes(inputs, Object.keys(int8Cache)), ...attributeMessages(int8Cache)]),
    ]);
  }
  return applyEdit(graph, {
    nodes,
    newInputs: [],
    newInitializers: entries.map(({ node, past }) => {
      const values = scales.get(past);
      const heads = integerAttribute(node, 'kv_num_heads') ?? 0;
      if (values === undefined || values.length % heads !== 0)
        throw new AdaptletError('INTERNAL', `There are ${values?.length ?? 0} scales for ${past}`);
      return floatsMessage(`${past}.scale`, [1, heads, 1, values.length / heads], values);
    }),
    inputs: new Map(entries.map(({ past }) => info(past))),
    outputs: new Map(entries.map(({ present }) => info(present))),
    staleShapes: new Set(),
  });
};
