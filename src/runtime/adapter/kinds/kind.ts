import { AdaptletError } from '../../../errors/adaptlet-error.ts';
import type { ErrorCode } from '../../../errors/catalogue.ts';
import { quoteUntrusted } from '../../../errors/quote-untrusted.ts';
import type { WeightEntry } from '../scales.ts';

/** An adapter_config.json. */
export type Fields = Readonly<Record<string, unknown>>;

/** What a configuration in LoRA's words says of a module. */
export type RankAndScaling = {
  readonly rankOf: (module: string) => number;
  readonly scalingOf: (module: string) => number;
};

/** A pair that is made of the tensors of a module. */
export type MadePair = {
  readonly rank: number;
  readonly inFeatures: number;
  readonly outFeatures: number;
  /** What B·A is multiplied by. */
  readonly scale: number;
  /** What its rank comes from, to be read behind the number. */
  readonly why: string;
  /** A [rank, in] and B [out, rank], of the values of tensors. */
  readonly make: (valuesOf: (entry: WeightEntry) => Float32Array) => {
    readonly a: Float32Array;
    readonly b: Float32Array;
  };
};

/** The tensors of a module, by what follows its name. */
export type ModuleTensors = {
  readonly module: string;
  readonly tensors: ReadonlyMap<string, WeightEntry>;
};

/** A method of PEFT. */
export type Kind = {
  /** What follows the name of a module in the names of its tensors; each has two dimensions. */
  readonly tensors: ReadonlySet<string>;
  /**
   * Its adapter_config.json in LoRA's words.
   * @throws ADAPTER_CONFIG_INVALID, ADAPTER_FIELD_UNKNOWN
   */
  readonly loraFields: (fields: Fields) => Fields;
  /**
   * The pairs of modules; undefined of one that the method has taken every rank of. `config` is of its fields in LoRA's words.
   * @throws ADAPTER_CONFIG_INVALID, ADAPTER_PAIR_INCOMPLETE, ADAPTER_RANK_UNEQUAL, ADAPTER_RANK_NOT_CONFIG
   */
  readonly pairsOf: (
    fields: Fields,
    config: RankAndScaling,
    modules: readonly ModuleTensors[],
  ) => ReadonlyMap<string, MadePair | undefined>;
};

export const refuse = (code: ErrorCode, what: string): AdaptletError =>
  new AdaptletError(code, `adapter_model.safetensors: ${what}`);

/**
 * A tensor that a module must have.
 * @throws ADAPTER_PAIR_INCOMPLETE
 */
export const tensorOf = ({ module, tensors }: ModuleTensors, name: string): WeightEntry => {
  const found = tensors.get(name);
  if (found !== undefined) return found;
  throw refuse('ADAPTER_PAIR_INCOMPLETE', `module ${quoteUntrusted(module)} has no ${name}`);
};

/** Rows and columns. */
export const sizeOf = ({ shape }: WeightEntry): readonly [number, number] => [shape[0] ?? 0, shape[1] ?? 0];

/**
 * Ranks of a module that must be one.
 * @throws ADAPTER_RANK_UNEQUAL
 */
export const sameRank = (module: string, ranks: Readonly<Record<string, number>>): number => {
  const [first = 0, ...others] = Object.values(ranks);
  if (others.every((rank) => rank === first)) return first;
  const said = Object.entries(ranks).map(([name, rank]) => `${name} of rank ${rank}`);
  throw refuse('ADAPTER_RANK_UNEQUAL', `module ${quoteUntrusted(module)} has ${said.join(', ')}`);
};

/**
 * The rank of a module must be the one of its configuration.
 * @throws ADAPTER_RANK_NOT_CONFIG
 */
export const checkRank = (module: string, rank: number, configured: number): void => {
  if (rank === configured) return;
  throw refuse(
    'ADAPTER_RANK_NOT_CONFIG',
    `module ${quoteUntrusted(module)} has rank ${rank}, adapter_config.json says ${configured}`,
  );
};

/** Fields that every method has in common with LoRA, with the same meaning. */
const commonFields: ReadonlySet<string> = new Set([
  'auto_mapping',
  'base_model_name_or_path',
  'exclude_modules',
  'inference_mode',
  'modules_to_save',
  'peft_version',
  'revision',
  'target_modules',
  'task_type',
]);

const isOff = (value: unknown): boolean =>
  value === null ||
  value === undefined ||
  value === false ||
  value === '' ||
  (typeof value === 'object' && Object.keys(value).length === 0);

/**
 * The fields of a method that are LoRA's as well: those in common, and `shared`. `own` are the ones that it has for itself. What else
 * is set is refused: it would change nothing in PEFT, or something that is not known.
 * @throws ADAPTER_FIELD_UNKNOWN
 */
export const sharedFields = (
  fields: Fields,
  { shared, own }: { readonly shared: readonly string[]; readonly own: readonly string[] },
): Fields => {
  const kept: Record<string, unknown> = { peft_type: 'LORA' };
  for (const [field, value] of Object.entries(fields)) {
    if (commonFields.has(field) || shared.includes(field)) kept[field] = value;
    else if (field !== 'peft_type' && !own.includes(field) && !isOff(value)) {
      const said = quoteUntrusted(JSON.stringify(value) ?? 'undefined', 80);
      throw new AdaptletError(
        'ADAPTER_FIELD_UNKNOWN',
        `adapter_config.json: ${quoteUntrusted(field)} is ${said}, which its method does not have`,
      );
    }
  }
  return kept;
};
