import { RE2JS } from 're2js';
import { AdaptletError } from '../../errors/adaptlet-error.ts';
import { foreign } from '../../errors/foreign.ts';

/** Longer expressions are refused: none that people write comes near. */
const maxPatternLength = 4096;

/**
 * Compiles an expression out of adapter_config.json. RE2 runs in linear time whatever the expression is, so that a
 * hostile one cannot hold a thread.
 * @throws AdaptletError ADAPTER_PATTERN_INVALID
 */
export const compilePattern = (field: string, source: string, expression: string): RE2JS => {
  if (source.length > maxPatternLength) {
    throw new AdaptletError(
      'ADAPTER_PATTERN_INVALID',
      `adapter_config.json: ${field} has an expression of ${source.length} characters, the limit is ${maxPatternLength}`,
    );
  }
  try {
    return RE2JS.compile(expression);
  } catch (error) {
    throw new AdaptletError(
      'ADAPTER_PATTERN_INVALID',
      `adapter_config.json: ${field} has the expression ${foreign(source)}`,
      { cause: error },
    );
  }
};

/**
 * rank_pattern and alpha_pattern of PEFT: the first key, in the order of the file, whose expression matches the module
 * name or the end of it after a dot (`(.*\.)?(key)$`, peft/utils/other.py get_pattern_key).
 */
export const patternTable = (
  field: string,
  table: Readonly<Record<string, number>>,
): ((module: string) => number | undefined) => {
  const rows = Object.entries(table).map(([key, value]) => ({
    pattern: compilePattern(field, key, `(.*\\.)?(${key})`),
    value,
  }));
  return (module) => rows.find((row) => row.pattern.matches(module))?.value;
};

/** PEFT's reading of target_modules and exclude_modules: a list matches whole names or their ends after a dot. */
export const listMatches = (entries: readonly string[], module: string): 'exact' | 'suffix' | undefined => {
  if (entries.includes(module)) return 'exact';
  return entries.some((entry) => module.endsWith(`.${entry}`)) ? 'suffix' : undefined;
};
