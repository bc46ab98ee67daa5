import { AdaptletError } from '../../../errors/adaptlet-error.ts';

/**
 * The smallest linears of a layer. A node of a graph and a module of PEFT each compute one of them or several side by
 * side: exporters fuse q, k and v into one node, and phi3 has them as one module.
 */
export type Part = string;

/** How the nodes of one architecture's graphs are called, and what PEFT calls the modules that they compute. */
export type Family = {
  /** `model_type` of the base model's config.json. */
  readonly name: string;
  /** Finds layer and path, e.g. `attn/q_proj`, in a node's name; quantisers append suffixes of their own. */
  readonly node: RegExp;
  /** The parts that a node computes, in the order of its columns, by its path. */
  readonly nodes: Readonly<Record<string, readonly Part[]>>;
  /** What PEFT puts before the number of a layer, e.g. `model.layers`. */
  readonly layers: string;
  /** The modules of each layer that LoRA can reach, with their parts in the order of their output features. */
  readonly modules: Readonly<Record<string, readonly Part[]>>;
  /** Parts that are as wide as the input of another: from these follow the columns of a fused node. */
  readonly widthIsInputOf: Readonly<Record<Part, Part>>;
  /** Modules outside of the layers, which a graph may lack. */
  readonly others: readonly { readonly node: RegExp; readonly module: string }[];
  /**
   * What PEFT puts before all of these names where the trained class wraps the model, with the dot: an adapter of
   * BertForSequenceClassification says `bert.encoder.layer.0…`, one of BertModel `encoder.layer.0…`.
   */
  readonly wrappers: readonly string[];
};

/** Names by ONNX Runtime GenAI's builder (`attn`) and of PyTorch's modules (`self_attn`), one table for both. */
const decoderNodes: Family['nodes'] = {
  'self_attn/q_proj': ['q'],
  'self_attn/k_proj': ['k'],
  'self_attn/v_proj': ['v'],
  'self_attn/qkv_proj': ['q', 'k', 'v'],
  'self_attn/o_proj': ['o'],
  'self_attn/dense': ['o'],
  'mlp/gate_proj': ['gate'],
  'mlp/up_proj': ['up'],
  'mlp/gate_up_proj': ['gate', 'up'],
  'mlp/down_proj': ['down'],
  'mlp/fc1': ['fc1'],
  'mlp/fc2': ['fc2'],
};

const decoder = (name: string, modules: Family['modules']): Family => ({
  name,
  node: /^(?:\/\w+)*\/layers\.(\d+)\/((?:attn|self_attn|mlp)\/\w+)\/(?:MatMul|Gemm)/,
  nodes: decoderNodes,
  layers: 'model.layers',
  modules,
  widthIsInputOf: { q: 'o', gate: 'down', up: 'down' },
  others: [],
  wrappers: [],
});

const qkv = { 'self_attn.q_proj': ['q'], 'self_attn.k_proj': ['k'], 'self_attn.v_proj': ['v'] };
const llama = {
  ...qkv,
  'self_attn.o_proj': ['o'],
  'mlp.gate_proj': ['gate'],
  'mlp.up_proj': ['up'],
  'mlp.down_proj': ['down'],
};
/** The builder calls phi's `dense` o_proj, like everyone's. */
const phi = { ...qkv, 'self_attn.dense': ['o'], 'mlp.fc1': ['fc1'], 'mlp.fc2': ['fc2'] };
/** Fused in PyTorch already; the builder takes gate and up apart, and q, k and v unless it fuses them again. */
const phi3 = {
  'self_attn.qkv_proj': ['q', 'k', 'v'],
  'self_attn.o_proj': ['o'],
  'mlp.gate_up_proj': ['gate', 'up'],
  'mlp.down_proj': ['down'],
};

const bertLinears = [
  'attention/self/query',
  'attention/self/key',
  'attention/self/value',
  'attention/output/dense',
  'intermediate/dense',
  'output/dense',
];
const bert: Family = {
  name: 'bert',
  node: /^(?:\/\w+)*\/encoder\/layer\.(\d+)\/((?:\w+\/)+?\w+)\/(?:MatMul|Gemm)/,
  nodes: Object.fromEntries(bertLinears.map((path) => [path, [path]])),
  layers: 'encoder.layer',
  modules: Object.fromEntries(bertLinears.map((path) => [path.replaceAll('/', '.'), [path]])),
  widthIsInputOf: {},
  others: [{ node: /^(?:\/\w+)*\/pooler\/dense\/(?:MatMul|Gemm)/, module: 'pooler.dense' }],
  wrappers: ['bert.'],
};

/** Every family there is. */
export const families: readonly Family[] = [
  ...['llama', 'mistral', 'qwen2', 'qwen3', 'gemma', 'gemma2', 'gemma3_text', 'smollm3', 'granite'].map(
    (name) => decoder(name, llama),
  ),
  decoder('phi', phi),
  decoder('phi3', phi3),
  bert,
];

/** The family of a base model. Throws MODEL_UNSUPPORTED with those that exist. */
export const familyOf = (modelType: string): Family => {
  const family = families.find((candidate) => candidate.name === modelType);
  if (family !== undefined) return family;
  throw new AdaptletError(
    'MODEL_UNSUPPORTED',
    `The base model is of the architecture ${JSON.stringify(modelType)}; supported are ${families.map((f) => f.name).join(', ')}`,
    { advice: 'Use a base model of one of these architectures.' },
  );
};

/** Where a node stands in a family's layers. */
export type Place = { readonly layer: number; readonly path: string; readonly parts: readonly Part[] };

/** Layer and parts of the linear that a graph node computes, or undefined for any other node. */
export const placeOf = (family: Family, nodeName: string): Place | undefined => {
  const [, layer, exported] = family.node.exec(nodeName) ?? [];
  if (layer === undefined || exported === undefined) return undefined;
  const path = exported.replace(/^attn\//, 'self_attn/');
  const parts = Object.hasOwn(family.nodes, path) ? family.nodes[path] : undefined;
  return parts === undefined ? undefined : { layer: Number(layer), path, parts };
};
