import { readFileSync } from 'node:fs';
import { z } from 'zod';
import { AdaptletError } from '../../../errors/adaptlet-error.ts';
import type { Windows } from '../onnx/missing-windows.ts';
import { fromTheRoot, type ModelFolder } from './folder.ts';

/** What the engine takes from config.json, generation_config.json and genai_config.json. */
export type ModelSettings = {
  readonly modelType: string;
  readonly contextLength: number;
  readonly vocabSize: number;
  /** Size of one attention head. */
  readonly headSize: number;
  /** Tokens above which the model has other positions (LongRoPE); undefined where it has one kind only. */
  readonly shortPositions: number | undefined;
  /** Tokens that attention looks back at most, in some of the layers or in all; undefined where it has no window. */
  readonly window: number | undefined;
  /** The layers that have it; undefined where it is not said, or where no request is as long. */
  readonly windows: Windows | undefined;
  /** Attention is soft-capped. */
  readonly softCapped: boolean;
  /** Tokens that end an answer. */
  readonly eosIds: ReadonlySet<number>;
};

const count = z.number().int().positive();
/** No model is near it: a list of layers is made of this number. */
const maxLayers = 10_000;
const tokenIds = z
  .union([z.number().int().nonnegative(), z.array(z.number().int().nonnegative())])
  .transform((ids) => (typeof ids === 'number' ? [ids] : ids));

const ropeSchema = z.looseObject({
  type: z.string().nullish(),
  rope_type: z.string().nullish(),
  original_max_position_embeddings: count.nullish(),
});
const longRopes: readonly string[] = ['longrope', 'su'];

const configSchema = z
  .object({
    model_type: z.string(),
    max_position_embeddings: count,
    vocab_size: count,
    hidden_size: count,
    num_attention_heads: count,
    num_hidden_layers: count.max(maxLayers).nullish(),
    head_dim: count.nullish(),
    eos_token_id: tokenIds.nullish(),
    original_max_position_embeddings: count.nullish(),
    rope_scaling: ropeSchema.nullish(),
    rope_parameters: ropeSchema.nullish(),
    sliding_window: count.nullish(),
    use_sliding_window: z.boolean().nullish(),
    max_window_layers: z.number().int().nonnegative().nullish(),
    layer_types: z.array(z.string()).nullish(),
    attn_logit_softcapping: z.number().nullish(),
  })
  .refine(
    ({ head_dim, hidden_size, num_attention_heads }) => (head_dim ?? hidden_size / num_attention_heads) >= 1,
    {
      path: ['num_attention_heads'],
      error: 'is more than hidden_size',
    },
  );
const generationSchema = z.object({ eos_token_id: tokenIds.nullish() });
const genaiSchema = z.object({
  model: z.object({ context_length: count.optional(), eos_token_id: tokenIds.nullish() }),
});
/** All that a configuration of ONNX Runtime GenAI has to say where there is no config.json: its builder writes none. */
const wholeGenaiSchema = z.object({
  model: z.object({
    type: z.string(),
    context_length: count,
    vocab_size: count,
    eos_token_id: tokenIds.nullish(),
    decoder: z.object({ head_size: count }),
  }),
});

/**
 * Reads a JSON file of a base model.
 * @throws MODEL_INVALID with file and field
 */
export const readModelJson = <T>(path: string, schema: z.ZodType<T>): T => {
  try {
    return schema.parse(JSON.parse(readFileSync(path, 'utf8')));
  } catch (cause) {
    const reason = cause instanceof z.ZodError ? z.prettifyError(cause) : String(cause);
    throw new AdaptletError('MODEL_INVALID', `${path}: ${reason}`, { cause });
  }
};

/** As Phi-3 has it where a configuration does not say it. */
const defaultShortPositions = 4096;

const shortPositionsOf = (config: z.infer<typeof configSchema>): number | undefined => {
  const rope = [config.rope_parameters, config.rope_scaling].find((each) =>
    [each?.rope_type, each?.type].some((kind) => longRopes.includes(kind ?? '')),
  );
  if (rope === undefined) return undefined;
  return (
    rope?.original_max_position_embeddings ?? config.original_max_position_embeddings ?? defaultShortPositions
  );
};

const windowOf = (config: z.infer<typeof configSchema>): number | undefined => {
  const { sliding_window: window, use_sliding_window: used, layer_types: layers } = config;
  const everywhereElse = layers !== undefined && layers !== null && !layers.includes('sliding_attention');
  return used === false || everywhereElse ? undefined : (window ?? undefined);
};

/** The first layer with a window, where a configuration has no `layer_types`; as transformers takes it. */
const firstWithWindow = (config: z.infer<typeof configSchema>): number | undefined => {
  switch (config.model_type) {
    case 'mistral':
    case 'phi3':
      return 0;
    case 'qwen2':
    case 'qwen3':
      return config.max_window_layers ?? undefined;
    default:
      return undefined;
  }
};

const windowsOf = (config: z.infer<typeof configSchema>, contextLength: number): Windows | undefined => {
  const tokens = windowOf(config);
  if (tokens === undefined || tokens >= contextLength) return undefined;
  const { num_hidden_layers: depth, layer_types: types } = config;
  const first = firstWithWindow(config);
  const layers =
    types?.map((type) => type === 'sliding_attention') ??
    (first === undefined ? [] : Array.from({ length: depth ?? 0 }, (_, layer) => layer >= first));
  const having = [...layers.keys()].filter((layer) => layers[layer]);
  return having.length === 0 ? undefined : { tokens, layers: having };
};

/** Architectures of which GenAI's configuration leaves out what answers depend on. */
const untold: Readonly<Record<string, string>> = {
  gemma2: 'windows and soft-capping of attention',
  gemma3: 'windows of attention',
  mistral: 'windows of attention',
  phi3: 'positions of long texts',
  phimoe: 'positions of long texts',
};

type OwnSettings = Omit<ModelSettings, 'eosIds' | 'windows'>;

/** @throws MODEL_INVALID; MODEL_FILE_MISSING where GenAI's configuration is not enough */
const settingsOfGenai = ({ folder }: ModelFolder, path: string): OwnSettings => {
  const { type, context_length, vocab_size, decoder } = readModelJson(path, wholeGenaiSchema).model;
  if (Object.hasOwn(untold, type)) {
    const what = `${path} does not say all of a ${type} (${untold[type]}), and config.json is neither in ${folder} nor in its parent folder`;
    throw new AdaptletError('MODEL_FILE_MISSING', what, { advice: fromTheRoot });
  }
  return {
    modelType: type,
    contextLength: context_length,
    vocabSize: vocab_size,
    headSize: decoder.head_size,
    shortPositions: undefined,
    window: undefined,
    softCapped: false,
  };
};

const settingsOfConfig = (config: z.infer<typeof configSchema>): OwnSettings => ({
  modelType: config.model_type,
  contextLength: config.max_position_embeddings,
  vocabSize: config.vocab_size,
  shortPositions: shortPositionsOf(config),
  window: windowOf(config),
  softCapped: (config.attn_logit_softcapping ?? 0) > 0,
  headSize: config.head_dim ?? Math.floor(config.hidden_size / config.num_attention_heads),
});

/**
 * Settings of a base model, of its config.json where it has one. The first file that names end tokens decides: generation,
 * then GenAI, then model.
 */
export const readSettings = (model: ModelFolder): ModelSettings => {
  const config = model.config === undefined ? undefined : readModelJson(model.config, configSchema);
  const generation =
    model.generationConfig === undefined
      ? undefined
      : readModelJson(model.generationConfig, generationSchema);
  const genai = model.genaiConfig === undefined ? undefined : readModelJson(model.genaiConfig, genaiSchema);
  const eosIds = generation?.eos_token_id ?? genai?.model.eos_token_id ?? config?.eos_token_id ?? [];
  const own =
    config === undefined ? settingsOfGenai(model, model.genaiConfig ?? '') : settingsOfConfig(config);
  const contextLength = Math.min(own.contextLength, genai?.model.context_length ?? Infinity);
  const windows = config && windowsOf(config, contextLength);
  return { ...own, contextLength, windows, eosIds: new Set(eosIds) };
};
