import { z } from 'zod';
import { AdaptletError } from '../../errors/adaptlet-error.ts';
import { quoteUntrusted } from '../../errors/quote-untrusted.ts';
import { duplicateKey, nestsTooDeep } from './json-keys.ts';
import { type MadePair, type ModuleTensors, type RankAndScaling, sharedFields } from './kinds/kind.ts';
import { kindOf } from './kinds/kinds.ts';
import { Patterns, patternTable } from './module-pattern.ts';
import { type AdapterBase, type Initial, refuseUnsupportedFields } from './peft-fields.ts';
import { type Targets, targetsOf } from './target-modules.ts';

/** A configuration is some kilobytes; more than this is not one. */
export const maxConfigBytes = 1024 * 1024;

/** What adapter_config.json says about the arithmetic of an adapter. Module names are those inside the base model. */
export type PeftConfig = {
  /** What the adapter was trained on, as its author named it: for messages only. */
  readonly baseModelName: string | undefined;
  /** As the file has it; undefined where it says nothing. */
  readonly taskType: string | undefined;
  readonly rankOf: (module: string) => number;
  /** The factor of B·A: alpha/r, or alpha/sqrt(r) with use_rslora. */
  readonly scalingOf: (module: string) => number;
  readonly targets: Targets;
  /** Each pair has a magnitude. */
  readonly dora: boolean;
  /** Each B has a bias. */
  readonly loraBias: boolean;
  /** It has a head for sequence classification. */
  readonly classifies: boolean;
  /** Of a method whose tensors have to be made pairs first (`kinds/`). */
  readonly kind?: {
    readonly tensors: ReadonlySet<string>;
    readonly pairsOf: (
      config: RankAndScaling,
      modules: readonly ModuleTensors[],
    ) => ReadonlyMap<string, MadePair | undefined>;
  };
  /** Of IA3: whether a module has its inputs scaled, not its outputs. */
  readonly isFeedforward?: (module: string) => boolean;
  /** What the rank of a module comes from, to be read behind the number. */
  readonly whyRank?: (module: string) => string;
};

const rank = z.int().min(0);
const listOrText = z.union([z.string(), z.array(z.string())]);

/** Defaults as in peft/tuners/lora/config.py. */
const schema = z.looseObject({
  base_model_name_or_path: z.string().nullish(),
  r: rank.default(8),
  lora_alpha: z.number().default(8),
  use_rslora: z.boolean().nullish(),
  rank_pattern: z.record(z.string(), rank).nullish(),
  alpha_pattern: z.record(z.string(), z.number()).nullish(),
  target_modules: listOrText,
  exclude_modules: listOrText.nullish(),
  layers_to_transform: z.union([z.int(), z.array(z.int())]).nullish(),
  layers_pattern: listOrText.nullish(),
  use_dora: z.boolean().nullish(),
  lora_bias: z.boolean().nullish(),
  bias: z.enum(['none', 'all', 'lora_only']).nullish(),
});

const parseJson = (text: string): Readonly<Record<string, unknown>> => {
  let value: unknown;
  let twice: string | undefined;
  if (nestsTooDeep(text))
    throw new AdaptletError('ADAPTER_CONFIG_INVALID', 'adapter_config.json is nested too deep to be one');
  try {
    value = JSON.parse(text);
    twice = duplicateKey(text);
  } catch (error) {
    throw new AdaptletError('ADAPTER_CONFIG_INVALID', 'adapter_config.json is not JSON', { cause: error });
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new AdaptletError('ADAPTER_CONFIG_INVALID', 'adapter_config.json is not a JSON object');
  }
  if (twice !== undefined) {
    throw new AdaptletError(
      'ADAPTER_CONFIG_INVALID',
      `adapter_config.json has ${quoteUntrusted(twice)} twice`,
    );
  }
  return { ...value };
};

const isSet = (value: unknown): boolean => value !== null && value !== undefined;

/** As PEFT does, an empty text is no entry. */
const asList = <T>(value: T | readonly T[] | null | undefined): readonly T[] => {
  if (value === null || value === undefined || value === '') return [];
  return Array.isArray(value) ? value : [value as T];
};

/** PEFT does not load these: refused rather than guessed at. */
const refuseContradictions = (config: z.infer<typeof schema>): void => {
  const { target_modules: targets, layers_to_transform: layers, layers_pattern: pattern } = config;
  if (config.use_dora === true && config.lora_bias === true) {
    throw new AdaptletError(
      'ADAPTER_CONFIG_INVALID',
      'adapter_config.json: use_dora and lora_bias exclude each other',
      { advice: 'Train it with `lora_bias=False`.' },
    );
  }
  const field = isSet(layers) ? 'layers_to_transform' : 'layers_pattern';
  if (typeof targets === 'string' && (isSet(layers) || isSet(pattern))) {
    throw new AdaptletError(
      'ADAPTER_CONFIG_INVALID',
      `adapter_config.json: ${field} needs target_modules as a list, which is a string`,
      { advice: `Write target_modules as a list, or remove ${field}.` },
    );
  }
  if (!isSet(layers) && asList(pattern).length > 0) {
    throw new AdaptletError(
      'ADAPTER_CONFIG_INVALID',
      'adapter_config.json: layers_pattern has no meaning without layers_to_transform',
      { advice: 'Add layers_to_transform, or remove layers_pattern.' },
    );
  }
};

const layersOf = (config: z.infer<typeof schema>): readonly number[] | undefined => {
  const layers = asList(config.layers_to_transform);
  return layers.length === 0 ? undefined : layers;
};

/** Fields of IA3 besides those in common. How the base stores its weights matters where they are changed. */
const ofIa3 = { shared: [], own: ['feedforward_modules', 'fan_in_fan_out', 'init_ia3_weights'] };

/** PEFT's choice (peft/tuners/ia3/model.py): an expression for the whole name, or ends of names. */
const feedforwardOf = (
  fields: Readonly<Record<string, unknown>>,
  patterns: Patterns,
): ((module: string) => boolean) => {
  const parsed = listOrText.safeParse(fields['feedforward_modules']);
  if (!parsed.success) {
    throw new AdaptletError(
      'ADAPTER_CONFIG_INVALID',
      'adapter_config.json: feedforward_modules is neither a list of names nor an expression',
      { cause: parsed.error },
    );
  }
  const modules = parsed.data;
  if (typeof modules !== 'string') return (module) => modules.some((end) => module.endsWith(end));
  const pattern = patterns.compile('feedforward_modules', modules, modules);
  return (module) => pattern.matches(module);
};

/**
 * Reads adapter_config.json as PEFT does, and refuses every field that changes the result and is not built.
 * @throws AdaptletError ADAPTER_CONFIG_INVALID, ADAPTER_PATTERN_INVALID and the codes of peft-fields.ts
 */
export const parsePeftConfig = (
  text: string,
  base: AdapterBase = 'generate',
  initial: Initial = 'must be plain',
): PeftConfig => {
  const written = parseJson(text);
  const kind = kindOf(written['peft_type']);
  const isIa3 = written['peft_type'] === 'IA3';
  const fields = isIa3 ? sharedFields(written, ofIa3) : (kind?.loraFields(written) ?? written);
  refuseUnsupportedFields(fields, base, initial);
  const parsed = schema.safeParse(fields);
  if (!parsed.success) {
    const issue = parsed.error.issues[0];
    throw new AdaptletError(
      'ADAPTER_CONFIG_INVALID',
      `adapter_config.json: ${quoteUntrusted(issue?.path.join('.') ?? '')}: ${issue?.message ?? 'not valid'}`,
      { cause: parsed.error },
    );
  }
  const config = parsed.data;
  refuseContradictions(config);
  const patterns = new Patterns();
  const ranks = patternTable('rank_pattern', config.rank_pattern ?? {}, patterns);
  const alphas = patternTable('alpha_pattern', config.alpha_pattern ?? {}, patterns);
  const rankOf = (module: string): number => ranks(module) ?? config.r;
  return {
    baseModelName: config.base_model_name_or_path ?? undefined,
    taskType: typeof fields['task_type'] === 'string' ? fields['task_type'] : undefined,
    rankOf,
    dora: config.use_dora === true,
    loraBias: config.lora_bias === true,
    classifies: fields['task_type'] === 'SEQ_CLS',
    ...(kind === undefined
      ? {}
      : {
          kind: {
            tensors: kind.tensors,
            pairsOf: (of, modules) => kind.pairsOf(written, of, modules),
          },
        }),
    ...(isIa3 ? { isFeedforward: feedforwardOf(written, patterns) } : {}),
    scalingOf: (module) => {
      const r = rankOf(module);
      return (alphas(module) ?? config.lora_alpha) / (config.use_rslora === true ? Math.sqrt(r) : r);
    },
    targets: targetsOf(
      {
        targetModules: config.target_modules,
        excludeModules: config.exclude_modules ?? undefined,
        layersToTransform: layersOf(config),
        layersPattern: asList(config.layers_pattern),
      },
      patterns,
    ),
  };
};
