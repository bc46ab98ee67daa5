import { AdaptletError } from '../../errors/adaptlet-error.ts';
import type { ErrorCode } from '../../errors/catalogue.ts';
import { quoteUntrusted } from '../../errors/quote-untrusted.ts';

type Fields = Readonly<Record<string, unknown>>;

/** Fields that `peft-config.ts` reads and applies. */
const appliedFields: ReadonlySet<string> = new Set([
  'peft_type',
  'task_type',
  'base_model_name_or_path',
  'r',
  'lora_alpha',
  'use_rslora',
  'rank_pattern',
  'alpha_pattern',
  'target_modules',
  'exclude_modules',
  'layers_to_transform',
  'layers_pattern',
  'use_dora',
  'lora_bias',
]);

/**
 * Fields that cannot change the result of a trained adapter: training only, provenance, or of a feature that has its
 * own switch. bias belongs here: what it trained is tensors of the file, which pairs.ts refuses; without them PEFT, too,
 * takes the biases of the base. fan_in_fan_out belongs here: it says how the base weight is stored, which matters when a delta is merged
 * into it; A and B, run beside the base linear, have the same shapes either way. ensure_weight_tying acts on embeddings
 * only, whose tensors are refused.
 */
const inertFields: ReadonlySet<string> = new Set([
  'auto_mapping',
  'bias',
  'corda_config',
  'ensure_weight_tying',
  'eva_config',
  'fan_in_fan_out',
  'inference_mode',
  'lora_dropout',
  'lora_ga_config',
  'loftq_config',
  'megatron_core',
  'peft_version',
  'qalora_group_size',
  'revision',
  'runtime_config',
]);

/** Fields that change the result and are not built, each with its own code. */
const refusedFields: Readonly<Record<string, ErrorCode>> = {
  arrow_config: 'ADAPTER_ARROW',
  kasa_config: 'ADAPTER_KASA',
  megatron_config: 'ADAPTER_MEGATRON',
  monteclora_config: 'ADAPTER_MONTECLORA',
  use_bdlora: 'ADAPTER_BDLORA',
  velora_config: 'ADAPTER_VELORA',
  modules_to_save: 'ADAPTER_MODULES_TO_SAVE',
  layer_replication: 'ADAPTER_LAYER_REPLICATION',
  use_qalora: 'ADAPTER_QALORA',
  alora_invocation_tokens: 'ADAPTER_ALORA',
  trainable_token_indices: 'ADAPTER_TRAINABLE_TOKENS',
  target_parameters: 'ADAPTER_TARGET_PARAMETERS',
};

/**
 * Initialisations that leave the base weights as they are. PiSSA, OLoRA, CorDA, LoRA-GA and LoftQ do not: what such an
 * adapter was trained on is not the base. Converted when it was saved, it says `true` here.
 */
const plainInitialisations: ReadonlySet<unknown> = new Set([
  undefined,
  null,
  true,
  false,
  'gaussian',
  'eva',
  'mica',
  'orthogonal',
]);

/**
 * Initialisations that take a pair away from the base weights: with the pair that they began with subtracted, what was trained is a change of
 * the base. LoftQ puts other weights in place of the base's.
 */
const subtractable = /^(?:pissa|olora|corda|lora_ga)/i;

/** What an adapter with such an initialisation is read for. */
export type Initial =
  /** To be served. */
  | 'must be plain'
  /** To have its initial pair subtracted. */
  | 'is subtracted';

/** Fields that PEFT reads as a configuration of their own: an empty map is one with every default, and on. */
const subConfigurations: ReadonlySet<string> = new Set([
  'arrow_config',
  'kasa_config',
  'monteclora_config',
  'use_bdlora',
  'velora_config',
]);

/** Null, false, an empty string, list or map: the feature is off. */
const isOff = (field: string, value: unknown): boolean => {
  if (value === null || value === undefined || value === false || value === '') return true;
  if (typeof value !== 'object' || subConfigurations.has(field)) return false;
  return Object.keys(value).length === 0;
};

const shown = (value: unknown): string => quoteUntrusted(JSON.stringify(value) ?? 'undefined', 80);

const refuse = (code: ErrorCode, field: string, value: unknown, advice?: string, why = ''): AdaptletError =>
  new AdaptletError(
    code,
    `adapter_config.json: ${quoteUntrusted(field)} is ${shown(value)}${why}`,
    advice === undefined ? {} : { advice },
  );

/** Why an adapter of another method cannot be served as a pair of small matrices, by its `peft_type`. */
const whyNot: Readonly<Record<string, string>> = {
  OFT: 'it turns the weights of the base, which all adapters share',
  BOFT: 'it turns the weights of the base, which all adapters share',
  VERA: 'its matrices are random ones that all of its modules share, not a pair for each',
  PROMPT_TUNING: 'it puts embeddings before a prompt, which are no tokens',
  P_TUNING: 'it puts embeddings before a prompt, which are no tokens',
  PREFIX_TUNING: 'it puts keys and values before a prompt, which are of no tokens',
};

const whyNotType = (type: unknown): string => {
  const why = typeof type === 'string' && Object.hasOwn(whyNot, type) ? whyNot[type] : undefined;
  return why === undefined ? '' : `: ${why}`;
};

/** `task_type` of adapters that a base model takes: a decoder's, an encoder's, and either's. Absent is always right. */
const tasks = {
  generate: ['CAUSAL_LM'],
  embed: ['SEQ_CLS', 'FEATURE_EXTRACTION'],
  any: ['CAUSAL_LM', 'SEQ_CLS', 'FEATURE_EXTRACTION'],
} as const;
export type AdapterBase = keyof typeof tasks;

/** What PEFT puts into modules_to_save of a sequence classifier, whichever of the two the model has. */
const headModules: ReadonlySet<unknown> = new Set(['classifier', 'score']);

/** The head of a sequence classifier, and nothing else. */
const isHead = ({ task_type: task, modules_to_save: modules }: Fields): boolean =>
  task === 'SEQ_CLS' && Array.isArray(modules) && modules.every((m) => headModules.has(m));

/** What is in the way of a module of its own for each adapter. */
const whyNotSaved = (value: unknown): string => {
  const given: readonly unknown[] = Array.isArray(value) ? value : [value];
  const modules = given.filter((name) => typeof name === 'string');
  if (modules.some((name) => /embed|lm_head|wte|output_layer/.test(name)))
    return ': the embedding and the output layer are the largest weights of the base model, and all adapters share them';
  if (modules.length > 0 && modules.every((name) => /norm|ln_/.test(name)))
    return ': what a norm gives is the input of several linears, and all adapters of a step share it';
  return ': all adapters share the modules of the base model';
};

const needsEncoder =
  'A classifier needs an encoder as its base model; on this one, use an adapter that generates text.';

/** What to do about a field that is on, where that depends on the base model. */
const adviceFor = (field: string, fields: Fields, base: AdapterBase): string | undefined => {
  if (field !== 'modules_to_save') return undefined;
  if (base === 'generate') return isHead(fields) ? needsEncoder : undefined;
  return 'Of whole modules only the head of a classifier is taken: `classifier` or `score`, with `task_type` SEQ_CLS.';
};

const taskAdvice = (base: AdapterBase, task: unknown): string =>
  base === 'generate' && task === 'SEQ_CLS'
    ? needsEncoder
    : `Use an adapter whose \`task_type\` is ${tasks[base].join(' or ')}, or absent.`;

/**
 * Lets through only configurations whose whole effect is in {@link appliedFields}; nothing is ignored that could
 * change the result.
 * @throws AdaptletError with the code of the feature, or ADAPTER_FIELD_UNKNOWN
 */
export const refuseUnsupportedFields = (
  fields: Fields,
  base: AdapterBase = 'generate',
  initial: Initial = 'must be plain',
): void => {
  const { peft_type: type, task_type: task, init_lora_weights: init } = fields;
  if (type !== 'LORA') throw refuse('ADAPTER_PEFT_TYPE', 'peft_type', type, undefined, whyNotType(type));
  for (const [field, value] of Object.entries(fields)) {
    const code = Object.hasOwn(refusedFields, field) ? refusedFields[field] : undefined;
    if (code === undefined || isOff(field, value)) continue;
    const taken = field === 'modules_to_save' && base !== 'generate' && isHead(fields);
    const why = field === 'modules_to_save' ? whyNotSaved(value) : '';
    if (!taken) throw refuse(code, field, value, adviceFor(field, fields, base), why);
  }
  if (!isOff('task_type', task) && !tasks[base].some((one) => one === task))
    throw refuse('ADAPTER_TASK_UNSUPPORTED', 'task_type', task, taskAdvice(base, task));
  const isSubtracted = initial === 'is subtracted' && typeof init === 'string' && subtractable.test(init);
  if (!plainInitialisations.has(init) && !isSubtracted)
    throw refuse('ADAPTER_INIT_CHANGES_BASE', 'init_lora_weights', init);
  for (const [field, value] of Object.entries(fields)) {
    const known =
      appliedFields.has(field) ||
      inertFields.has(field) ||
      Object.hasOwn(refusedFields, field) ||
      field === 'init_lora_weights';
    if (!known && !isOff(field, value)) throw refuse('ADAPTER_FIELD_UNKNOWN', field, value);
  }
};
