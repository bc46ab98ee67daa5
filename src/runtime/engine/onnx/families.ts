import { AdaptletError } from '../../../errors/adaptlet-error.ts';

/** How the nodes of one architecture's graph are called in PEFT. */
export type Family = {
  /** `model_type` of the base model's config.json. */
  readonly name: string;
  /** The linears of each layer that LoRA can reach, as PEFT calls them below `model.layers.N.`. */
  readonly linears: readonly string[];
};

const llamaLinears = [
  'self_attn.q_proj',
  'self_attn.k_proj',
  'self_attn.v_proj',
  'self_attn.o_proj',
  'mlp.gate_proj',
  'mlp.up_proj',
  'mlp.down_proj',
] as const;

/** One line per architecture. Those listed here name their linears alike; only llama is covered by a real model in the tests. */
const families: readonly Family[] = ['llama', 'mistral', 'qwen2'].map((name) => ({
  name,
  linears: llamaLinears,
}));

/** The family of a base model. Throws MODEL_UNSUPPORTED with those that exist. */
export const familyOf = (modelType: string): Family => {
  const family = families.find((candidate) => candidate.name === modelType);
  if (family !== undefined) return family;
  throw new AdaptletError(
    'MODEL_UNSUPPORTED',
    `The base model is of the architecture ${JSON.stringify(modelType)}; supported are ${families.map((f) => f.name).join(', ')}`,
  );
};

/**
 * Exporters write `/model/layers.0/attn/q_proj/MatMul` or `.../self_attn/...`; quantisers append their own
 * suffix (`MatMul_Q4G32`), so only the beginning counts.
 */
const linearNode = /^\/model\/layers\.(\d+)\/(attn|self_attn|mlp)\/([a-z][a-z_]*_proj)\/(?:MatMul|Gemm)/;
const blockInPeft: Readonly<Record<string, string>> = {
  attn: 'self_attn',
  self_attn: 'self_attn',
  mlp: 'mlp',
};

export type LinearName = { readonly layer: number; readonly linear: string };

/** Layer and PEFT name of the linear that a graph node computes, or undefined for any other node. */
export const linearOfNode = (nodeName: string): LinearName | undefined => {
  const match = linearNode.exec(nodeName);
  if (match === null) return undefined;
  const [, layer, block, projection] = match;
  if (layer === undefined || block === undefined || projection === undefined) return undefined;
  return { layer: Number(layer), linear: `${blockInPeft[block] ?? block}.${projection}` };
};

export const moduleName = (name: LinearName): string => `model.layers.${name.layer}.${name.linear}`;
