import { RE2JS } from 're2js';
import { AdaptletError } from '../../errors/adaptlet-error.ts';
import { quoteUntrusted } from '../../errors/quote-untrusted.ts';
import { fromPython } from './python-pattern.ts';

/** Longer expressions are refused: none that people write comes near. */
export const maxPatternLength = 4096;

/**
 * Instructions of all expressions together. A name costs a step for each of them and each of its characters; an expression of
 * nothing but `.{0,1000}` has a hundred for each of its own. A rank and an alpha for each linear of a large model take half.
 */
export const maxInstructions = 65_536;

const tooLarge = (what: string): AdaptletError =>
  new AdaptletError('ADAPTER_PATTERN_INVALID', `adapter_config.json: ${what}`, {
    advice: 'List the module names, or shorten the expressions.',
  });

/** Compiles the expressions of one adapter_config.json, which together are bounded. */
export class Patterns {
  #instructions = 0;

  /**
   * Compiles an expression, which is one of Python's `re`. RE2 runs in linear time whatever the expression is, so that a
   * hostile one cannot hold a thread. `expression` is what PEFT builds around `source`.
   * @throws AdaptletError ADAPTER_PATTERN_INVALID also for what Python reads and RE2 cannot express
   */
  compile(field: string, source: string, expression: string): RE2JS {
    if (source.length > maxPatternLength) {
      const limit = `the limit is ${maxPatternLength}`;
      throw tooLarge(`${field} has an expression of ${source.length} characters, ${limit}`);
    }
    const compiled = compiledOf(field, source, expression);
    this.#instructions += compiled.programSize();
    if (this.#instructions <= maxInstructions) return compiled;
    throw tooLarge(`its expressions are too large with that of ${field} ${quoteUntrusted(source)}`);
  }
}

const compiledOf = (field: string, source: string, expression: string): RE2JS => {
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
  patterns = new Patterns(),
): ((module: string) => number | undefined) => {
  const rows = Object.entries(table).map(([key, value]) => ({
    pattern: patterns.compile(field, key, `(.*\\.)?(${key})$`),
    value,
  }));
  return (module) => rows.find((row) => row.pattern.matcher(module).lookingAt())?.value;
};

/** PEFT's reading of target_modules and exclude_modules: a list matches whole names or their ends after a dot. */
export const listMatches = (entries: readonly string[], module: string): 'exact' | 'suffix' | undefined => {
  if (entries.includes(module)) return 'exact';
  return entries.some((entry) => module.endsWith(`.${entry}`)) ? 'suffix' : undefined;
};
