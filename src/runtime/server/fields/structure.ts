import { z } from 'zod';
import { AdaptletError } from '../../../errors/adaptlet-error.ts';
import type { Structure } from '../../engine/engine.ts';
import { harmless, honoured, objectOf, refused } from './field.ts';
import { FieldError } from './field-error.ts';

const object = z.union([z.record(z.string(), z.unknown()), z.boolean()], { error: 'must be a JSON schema' });
/** vLLM takes its text as well. */
const schema = z.union([object, z.string()], { error: 'must be a JSON schema' });
const regex = z.string({ error: 'must be a regular expression' });
const grammar = z.string({ error: 'must be a grammar in Lark' });
const choice = z
  .array(z.string(), { error: 'must be a list of texts' })
  .min(1, { error: 'must have a text' });

const spaces = 'the white space that JSON may have is fixed';
const tags = 'calls are asked for by tools, in a chat';

export const jsonSchema = {
  name: harmless('it is not given to the model'),
  description: harmless('it is not given to the model'),
  strict: harmless('a schema is always kept to'),
  schema: honoured(object),
};

/** OpenAI's. */
export const responseFormat = {
  type: honoured(z.enum(['text', 'json_object', 'json_schema'])),
  json_schema: honoured(objectOf(jsonSchema).nullish(), jsonSchema),
};

/** vLLM's. */
const structuredOutputs = {
  json: honoured(schema.nullish()),
  regex: honoured(regex.nullish()),
  choice: honoured(choice.nullish()),
  grammar: honoured(grammar.nullish()),
  json_object: honoured(z.boolean().nullish()),
  structural_tag: refused(tags),
  disable_fallback: harmless('there is nothing to fall back to'),
  disable_any_whitespace: refused(spaces, false),
  disable_additional_properties: refused('a schema is taken as it is', false),
  whitespace_pattern: refused(spaces),
};

/** Fields that say what the text of an answer has to be; a request has one of them. `guided_`: of older versions of vLLM. */
export const structureFields = {
  response_format: honoured(objectOf(responseFormat).nullish(), responseFormat),
  structured_outputs: honoured(objectOf(structuredOutputs).nullish(), structuredOutputs),
  guided_json: honoured(schema.nullish()),
  guided_regex: honoured(regex.nullish()),
  guided_choice: honoured(choice.nullish()),
  guided_grammar: honoured(grammar.nullish()),
  guided_decoding_backend: refused('llguidance is the only one', 'auto', 'guidance', 'llguidance'),
  guided_whitespace_pattern: refused(spaces),
  structural_tag: refused(tags),
};

/** Fields that hold objects or lists: as JSON text where a protocol has neither. */
export const jsonFields = ['response_format', 'structured_outputs', 'guided_choice'] as const;

type StructureFields = z.infer<ReturnType<typeof objectOf<typeof structureFields>>>;

const anyObject: Structure = { kind: 'json', source: '{"type":"object"}' };

/** What a body can nest, a text of it need not. @throws STRUCTURE_TOO_COMPLEX */
export const schemaText = (value: unknown): string => {
  try {
    return JSON.stringify(value);
  } catch (cause) {
    if (!(cause instanceof RangeError)) throw cause;
    throw new AdaptletError('STRUCTURE_TOO_COMPLEX', 'the schema nests too deep', { cause });
  }
};

const ofSchema = (value: unknown): Structure => ({
  kind: 'json',
  source: typeof value === 'string' ? value : schemaText(value),
});
const ofRegex = (source: string): Structure => ({ kind: 'regex', source });
const ofGrammar = (source: string): Structure => ({ kind: 'lark', source });
/** JSON's texts are Lark's. */
export const ofChoices = (choices: readonly string[]): Structure =>
  ofGrammar(`start: ${choices.map((one) => JSON.stringify(one)).join(' | ')}`);

const ofFormat = ({
  type,
  json_schema: asked,
}: NonNullable<StructureFields['response_format']>): Structure | undefined => {
  if (type === 'text') return undefined;
  if (type === 'json_object') return anyObject;
  if (asked !== undefined && asked !== null) return ofSchema(asked.schema);
  throw new FieldError(
    'REQUEST_INVALID',
    'response_format has no json_schema',
    'response_format.json_schema',
  );
};

/**
 * What the text of the answer has to be; undefined: anything.
 * @throws REQUEST_INVALID, STRUCTURE_TOO_COMPLEX
 */
export const structureOf = (fields: Partial<StructureFields>): Structure | undefined => {
  const { response_format: format, structured_outputs: outputs } = fields;
  const asked: (readonly [param: string, structure: Structure])[] = [];
  const add = <T>(
    param: string,
    value: T | null | undefined,
    of: (value: T) => Structure | undefined,
  ): void => {
    const structure = value === undefined || value === null ? undefined : of(value);
    if (structure !== undefined) asked.push([param, structure]);
  };
  add('response_format', format, ofFormat);
  add('structured_outputs.json', outputs?.json, ofSchema);
  add('structured_outputs.regex', outputs?.regex, ofRegex);
  add('structured_outputs.choice', outputs?.choice, ofChoices);
  add('structured_outputs.grammar', outputs?.grammar, ofGrammar);
  add('structured_outputs.json_object', outputs?.json_object, (wanted) => (wanted ? anyObject : undefined));
  add('guided_json', fields.guided_json, ofSchema);
  add('guided_regex', fields.guided_regex, ofRegex);
  add('guided_choice', fields.guided_choice, ofChoices);
  add('guided_grammar', fields.guided_grammar, ofGrammar);
  const [first, second] = asked;
  if (first === undefined || second === undefined) return first?.[1];
  const what = `${second[0]}: an answer has one structure, and ${first[0]} says it already`;
  throw new FieldError('REQUEST_INVALID', what, second[0]);
};
