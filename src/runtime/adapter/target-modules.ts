import { listMatches, Patterns } from './module-pattern.ts';

/** The fields of adapter_config.json that say which modules carry LoRA. */
export type TargetFields = {
  readonly targetModules: readonly string[] | string;
  readonly excludeModules: readonly string[] | string | undefined;
  readonly layersToTransform: readonly number[] | undefined;
  readonly layersPattern: readonly string[];
};

export type Targets = {
  /** Whether PEFT puts LoRA on the module of this name. */
  readonly includes: (module: string) => boolean;
  /** Entries of target_modules that match none of these modules, excluded ones counted. */
  readonly unmatched: (modules: readonly string[]) => readonly string[];
};

/** The output layer, which `all-linear` leaves out. */
const isOutputLayer = (module: string): boolean => module === 'lm_head' || module.endsWith('.lm_head');

/**
 * The layer of a module: its first number, or the first below a name of layers_pattern. Later numbers count something
 * else, such as the experts of a layer.
 */
const layerOf = (fields: TargetFields, all: Patterns): ((module: string) => number | undefined) => {
  const expressions =
    fields.layersPattern.length === 0
      ? [{ source: 'default', expression: String.raw`.*?\.[^.]*\.(?P<idx>\d+)\.` }]
      : fields.layersPattern.map((source) => ({
          source,
          expression: String.raw`(?:^|.*?\.)${source}\.(?P<idx>\d+)\.`,
        }));
  const patterns = expressions.map(({ source, expression }) =>
    all.compile('layers_pattern', source, expression),
  );
  return (module) => {
    for (const pattern of patterns) {
      const matcher = pattern.matcher(module);
      if (!matcher.lookingAt()) continue;
      // Null where an alternative of the expression matched that has no number.
      const index = matcher.group('idx');
      return index === null ? undefined : Number(index);
    }
    return undefined;
  };
};

const excluder = (
  exclude: readonly string[] | string | undefined,
  all: Patterns,
): ((module: string) => boolean) => {
  if (exclude === undefined) return () => false;
  if (typeof exclude !== 'string') return (module) => listMatches(exclude, module) !== undefined;
  const pattern = all.compile('exclude_modules', exclude, exclude);
  return (module) => pattern.matches(module);
};

const includer = (fields: TargetFields, all: Patterns): ((module: string) => boolean) => {
  const { targetModules: targets, layersToTransform: layers } = fields;
  if (typeof targets === 'string' && targets.toLowerCase() === 'all-linear')
    return (module) => !isOutputLayer(module);
  if (typeof targets === 'string') {
    const pattern = all.compile('target_modules', targets, targets);
    return (module) => pattern.matches(module);
  }
  const layer = layerOf(fields, all);
  return (module) => {
    const match = listMatches(targets, module);
    // A module named in full is meant, whatever its layer.
    if (match !== 'suffix' || layers === undefined) return match !== undefined;
    const index = layer(module);
    return index !== undefined && layers.includes(index);
  };
};

/**
 * PEFT's choice of modules (peft/tuners/tuners_utils.py check_target_module_exists): exclude_modules first, then a
 * string as an expression for the whole name or a list as names and ends of names, then the layer filter.
 * @throws AdaptletError ADAPTER_PATTERN_INVALID
 */
export const targetsOf = (fields: TargetFields, patterns = new Patterns()): Targets => {
  const excluded = excluder(fields.excludeModules, patterns);
  const included = includer(fields, patterns);
  const includes = (module: string): boolean => !excluded(module) && included(module);
  const { targetModules: targets } = fields;
  return {
    includes,
    unmatched: (modules) =>
      typeof targets === 'string'
        ? [targets].filter(() => !modules.some(includes))
        : targets.filter((entry) => !modules.some((module) => listMatches([entry], module) !== undefined)),
  };
};
