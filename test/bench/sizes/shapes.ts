/** What the config.json of a model says of its shape, as its makers published it. */
export type Shape = Readonly<Record<string, unknown>> & {
  readonly model_type: string;
  readonly vocab_size: number;
  readonly num_hidden_layers: number;
  readonly num_key_value_heads: number;
  readonly head_dim: number;
};

/** As SmolLM2's tokenizer, which all of them get. */
const ends = { bos_token_id: 1, eos_token_id: 2, pad_token_id: 2 };

const qwen = {
  ...ends,
  hidden_act: 'silu',
  vocab_size: 151_936,
  rms_norm_eps: 1e-6,
  rope_theta: 1_000_000,
  tie_word_embeddings: true,
};

/** Models of 0.3 to 1.2 billion parameters, by name. */
export const shapes = {
  'gemma3-270m': {
    ...ends,
    model_type: 'gemma3_text',
    vocab_size: 262_144,
    hidden_size: 640,
    intermediate_size: 2048,
    num_hidden_layers: 18,
    num_attention_heads: 4,
    num_key_value_heads: 1,
    head_dim: 256,
    query_pre_attn_scalar: 256,
    sliding_window: 512,
    layer_types: Array.from({ length: 18 }, (_, i) => (i % 6 === 5 ? 'full_attention' : 'sliding_attention')),
    max_position_embeddings: 32_768,
    rms_norm_eps: 1e-6,
    rope_theta: 1_000_000,
    // transformers 5 has these for each kind of layer only, and the builder looks for one of all layers, with both bases.
    rope_parameters: {
      rope_type: 'default',
      rope_theta: 1_000_000,
      rope_local_base_freq: 10_000,
      full_attention: { rope_type: 'default', rope_theta: 1_000_000 },
      sliding_attention: { rope_type: 'default', rope_theta: 10_000 },
    },
    tie_word_embeddings: true,
  },
  'qwen25-05b': {
    ...qwen,
    model_type: 'qwen2',
    hidden_size: 896,
    intermediate_size: 4864,
    num_hidden_layers: 24,
    num_attention_heads: 14,
    num_key_value_heads: 2,
    head_dim: 64,
    max_position_embeddings: 32_768,
  },
  'qwen3-06b': {
    ...qwen,
    model_type: 'qwen3',
    hidden_size: 1024,
    intermediate_size: 3072,
    num_hidden_layers: 28,
    num_attention_heads: 16,
    num_key_value_heads: 8,
    head_dim: 128,
    max_position_embeddings: 40_960,
  },
  'llama32-1b': {
    ...ends,
    model_type: 'llama',
    vocab_size: 128_256,
    hidden_size: 2048,
    intermediate_size: 8192,
    num_hidden_layers: 16,
    num_attention_heads: 32,
    num_key_value_heads: 8,
    head_dim: 64,
    max_position_embeddings: 131_072,
    rms_norm_eps: 1e-5,
    rope_theta: 500_000,
    rope_scaling: {
      rope_type: 'llama3',
      factor: 32,
      low_freq_factor: 1,
      high_freq_factor: 4,
      original_max_position_embeddings: 8192,
    },
    tie_word_embeddings: true,
  },
} as const satisfies Readonly<Record<string, Shape>>;

export type ShapeName = keyof typeof shapes;

export const shapeNames = Object.keys(shapes) as ShapeName[];

/** Those that ADAPTLET_BENCH_SIZES names; `otherwise` where it names none. */
export const chosenShapes = (otherwise: readonly ShapeName[] = shapeNames): readonly ShapeName[] => {
  const wanted = process.env['ADAPTLET_BENCH_SIZES']?.split(',');
  if (wanted === undefined) return otherwise;
  const unknown = wanted.filter((name) => !shapeNames.some((one) => one === name));
  if (unknown.length > 0)
    throw new Error(`models of real sizes are ${shapeNames.join(', ')}, not ${unknown.join(', ')}`);
  return shapeNames.filter((name) => wanted.includes(name));
};
