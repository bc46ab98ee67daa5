import { RE2JS } from 're2js';
import { AdaptletError } from '../../errors/adaptlet-error.ts';
import { quoteUntrusted } from '../../errors/quote-untrusted.ts';
import { fromPython } from './python-pattern.ts';

/** Longer expressions are refused: none that people write comes near. */
export const maxPatternLength = 4096;

/**
 * Compiles an expression out of adapter_config.json, which is one of Python's `re`. RE2 runs in linear time whatever
 * the expression is, so that a hostile one cannot hold a thread. `expression` is what PEFT builds around `source`.
 * @throws AdaptletError ADAPTER_PATTERN_INVALID also for what Python reads and RE2 cannot express
 */
export const compilePattern = (field: string, source: string, expression: string): RE2JS => {
  if (source.length > maxPatternLength) {
    throw new AdaptletError(
      'ADAPTER_PATTERN_INVALID',
      `adapter_config.json: ${field} has an expression of ${source.length} characters, the limit is ${maxPatternLength}`,
      { advice: 'List the module names, or shorten the expression.' },
    );
  }
  try {
    return RE2JS.compile(fromPython(expression));
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new AdaptletError(
      'ADAPTER_PATTERN_INVALID',
      `adapter_config.json: ${field} has the expression ${quoteUntrusted(source)}: ${quoteUntrusted(reason)}`,
      { cause: error },
    );
  }
};

/**
 * rank_pattern and alpha_pattern of PEFT: the first key, in the order of the file, whose expression matches the module
 * name or the end of it after a dot (peft/utils/other.py get_pattern_key). The expression is built and tried as PEFT
 * does it, from the start and not to the end, so that a key like `a)|(b` means the same. Keys that match no module
 * are ignored, as PEFT does.
 */
export const patternTable = (
  field: string,
  table: Readonly<Record<string, number>>,
): ((module: string) => number | undefined) => {
  const rows = Object.entries(table).map(([key, value]) => ({
    pattern: compilePattern(field, key, `(.*\\.)?(${key})$`),
    value,
  }));
  return (module) => rows.find((row) => row.pattern.matcher(module).lookingAt())?.value;
};

/** PEFT's reading of target_modules and exclude_modules: a list matches whole names or their ends after a dot. */
export const listMatches = (entries: readonly string[], module: string): 'exact' | 'suffix' | undefined => {
  if (entries.includes(module)) return 'exact';
  return entries.some((entry) => module.endsWith(`.${entry}`)) ? 'suffix' : undefined;
};
