import { AdaptletError } from '../../../errors/adaptlet-error.ts';
import type { Structure } from '../engine.ts';
import { readCalls } from './calls-grammar.ts';
import { checkSchema } from './check-schema.ts';

/** Characters of a structure. */
export const maxSource = 128 << 10;

/** What a grammar could set aside these checks with. */
const ofGrammar = ['%json', '%llguidance', 'x-guidance'];

/** @throws STRUCTURE_UNSUPPORTED */
export const parseSchema = (source: string): unknown => {
  try {
    return JSON.parse(source);
  } catch (cause) {
    throw new AdaptletError('STRUCTURE_UNSUPPORTED', `the schema is no JSON: ${String(cause)}`, { cause });
  }
};

/** @throws STRUCTURE_UNSUPPORTED, STRUCTURE_TOO_COMPLEX; both name the tool, where it is one */
const checkCalls = (source: string): void => {
  const { calls, orJson } = readCalls(source);
  if (orJson !== undefined) checkSchema(orJson);
  for (const { name, schema } of calls) {
    try {
      checkSchema(schema);
    } catch (error) {
      if (!(error instanceof AdaptletError)) throw error;
      const { code, what, advice } = error;
      throw new AdaptletError(code, `the parameters of the tool ${name}: ${what}`, { advice, cause: error });
    }
  }
};

/**
 * Refuses what would not be enforced as it is written, by its name.
 * @throws STRUCTURE_UNSUPPORTED, STRUCTURE_TOO_COMPLEX
 */
export const checkStructure = ({ kind, source }: Structure): void => {
  if (source.length > maxSource) {
    const what = `it has ${source.length} characters; at most ${maxSource} are taken`;
    throw new AdaptletError('STRUCTURE_TOO_COMPLEX', what);
  }
  if (kind === 'json') checkSchema(parseSchema(source));
  if (kind === 'calls') checkCalls(source);
  const found = kind === 'lark' ? ofGrammar.find((word) => source.includes(word)) : undefined;
  if (found === undefined) return;
  throw new AdaptletError('STRUCTURE_UNSUPPORTED', `a grammar may not have ${found}`, {
    advice: 'Write the rules themselves, or give the JSON schema by itself.',
  });
};
