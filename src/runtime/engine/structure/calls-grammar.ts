import type { CallsSource, Structure } from '../engine.ts';
import type { Source } from './instance.ts';

/** As native/token-masks has them for a schema by itself. */
const options = {
  whitespace_pattern: String.raw`[\x20\x09]{1,4}|\x0D?\x0A[\x20\x09]{0,40}`,
  json_allowed_escapes: 'nrbtf\\"',
};

/** Made by this node, of tools that were checked. */
export const readCalls = (source: string): CallsSource => JSON.parse(source) as CallsSource;

/** JSON's texts are Lark's; one without anything is no text there. */
const literal = (text: string): string => (text === '' ? '' : JSON.stringify(text));

/** A schema as a rule has it, with its own references; true and false are schemas as well. */
const jsonOf = (schema: unknown): string => {
  const object = typeof schema === 'object' ? schema : { allOf: [schema] };
  return `%json ${JSON.stringify({ ...object, 'x-guidance': options })}`;
};

/**
 * Calls as a grammar in Lark: each tool's schema by itself, so that its references mean what they say. The number of calls is spelled
 * out, as rules that contain each other.
 */
const larkOf = ({ calls, between, most, orJson }: CallsSource): string => {
  const tools = calls.map(({ before, schema, after }, index) =>
    [`t${index}: ${literal(before)} j${index} ${literal(after)}`, `j${index}: ${jsonOf(schema)}`].join('\n'),
  );
  const rows = Array.from({ length: most }, (_, index) => {
    const more = index === most - 1 ? '' : ` (${literal(between)} r${index + 1})?`;
    return `r${index}: call${more}`;
  });
  return [
    ...(orJson === undefined ? ['start: r0'] : ['start: r0 | json', `json: ${jsonOf(orJson)}`]),
    ...rows,
    `call: ${calls.map((_, index) => `t${index}`).join(' | ')}`,
    ...tools,
    '',
  ].join('\n');
};

/** A structure as the module compiles it. */
export const sourceOf = ({ kind, source }: Structure): Source =>
  kind === 'calls' ? { kind: 'lark', source: larkOf(readCalls(source)) } : { kind, source };
