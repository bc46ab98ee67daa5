import { quoteUntrusted } from '../../../errors/quote-untrusted.ts';
import type { CallsSource, ChatInfo, Structure } from '../../engine/engine.ts';
import { parseSchema } from '../../engine/structure/check-structure.ts';
import { FieldError, wrong } from '../fields/field-error.ts';
import { schemaText } from '../fields/structure.ts';
import type { ChatBody } from '../http/bodies.ts';
import type { CallReader } from './call-reader.ts';
import { type Format, formatOf } from './formats.ts';
import { maxNesting, nestsTooDeep } from './nesting.ts';

/** Tools of a request, and calls that an answer may have. OpenAI takes as many tools. */
const limits = { tools: 128, calls: 16 } as const;

/** Tools that may be called in an answer. */
export type AskedTools = {
  /** As the chat template gets them: JSON. */
  readonly source: string;
  /**
   * What the answer has to be; undefined: the model chooses. `text`: what it has to be where it is no call.
   * @throws REQUEST_UNSUPPORTED that names the field; STRUCTURE_UNSUPPORTED, STRUCTURE_TOO_COMPLEX
   */
  readonly structure: (text: Structure | undefined) => Structure | undefined;
  readonly reader: () => CallReader;
  readonly most: number;
};

/** What a request says of tools. */
export type ToolFields = Pick<ChatBody, 'tools' | 'tool_choice' | 'parallel_tool_calls'>;
type Tool = NonNullable<ToolFields['tools']>[number]['function'];
type Choice = ToolFields['tool_choice'];

const checkedTools = (tools: NonNullable<ToolFields['tools']>, within: string): readonly Tool[] => {
  if (tools.length > limits.tools) throw wrong('tools', `has more than ${limits.tools} tools`);
  const names = new Set<string>();
  return tools.map(({ function: tool }, index) => {
    const path = `tools.${index}${within}`;
    const { name, parameters } = tool;
    if (!/^[\w.-]{1,64}$/.test(name))
      throw wrong(`${path}.name`, 'must have 1 to 64 letters, digits, _, . and -');
    if (names.has(name)) throw wrong(`${path}.name`, `is ${name}, as that of a tool before it`);
    names.add(name);
    if (nestsTooDeep(parameters)) throw wrong(`${path}.parameters`, `nests deeper than ${maxNesting}`);
    const type: unknown = parameters?.['type'];
    if (type !== undefined && type !== 'object')
      throw wrong(`${path}.parameters`, 'must be the schema of an object');
    return tool;
  });
};

const noParameters = { type: 'object', properties: {} };

/** As OpenAI has them, which chat templates are written for; some fail where one of these is missing. */
const sourceOf = (tools: readonly Tool[]): string =>
  JSON.stringify(
    tools.map(({ name, description, parameters }) => ({
      type: 'function',
      function: { name, description: description ?? '', parameters: parameters ?? noParameters },
    })),
  );

/** Where names come from besides `properties`. */
const open = ['additionalProperties', 'patternProperties', 'allOf', 'anyOf', 'oneOf', '$ref'];

/** The schema of arguments: of names that it has, unless it says more of others. Small models make up names where they may. */
const schemaOf = ({ parameters }: Tool): object => {
  const schema = { type: 'object', ...(parameters ?? noParameters) };
  if (!Object.hasOwn(schema, 'properties') || open.some((word) => Object.hasOwn(schema, word))) return schema;
  return { ...schema, additionalProperties: false };
};

const structureOf = (
  tools: readonly Tool[],
  { forced }: Format,
  { most, orJson }: Pick<CallsSource, 'most' | 'orJson'>,
): Structure => {
  const { before, after, between } = forced;
  const source: CallsSource = {
    calls: tools.map((tool) => ({
      name: tool.name,
      before: before(tool.name),
      schema: schemaOf(tool),
      after,
    })),
    between,
    most,
    ...(orJson === undefined ? {} : { orJson }),
  };
  return { kind: 'calls', source: schemaText(source) };
};

const unsupported = (why: string, advice: string): FieldError =>
  new FieldError('REQUEST_UNSUPPORTED', `tools is not supported: ${why}`, 'tools', { advice });

/**
 * The schema that an answer without calls has to be valid by, where its grammar can have calls beside it.
 * @throws REQUEST_UNSUPPORTED, STRUCTURE_UNSUPPORTED
 */
const besideCalls = ({ kind, source }: Structure, { read, forced }: Format): unknown => {
  const otherwise = 'or give tool_choice none or required.';
  if (kind !== 'json') {
    const why = 'calls can stand beside JSON by a schema, and beside no other structure';
    throw unsupported(why, `Give a schema, ${otherwise}`);
  }
  // The grammar would keep it from the calls that it was trained for.
  if (read !== forced.read) {
    const why = 'the base model writes calls in a way that no grammar here has';
    throw unsupported(why, `Leave the schema out, ${otherwise}`);
  }
  return parseSchema(source);
};

/** @throws REQUEST_UNSUPPORTED */
const knownFormat = (chat: ChatInfo | undefined): Format => {
  const format = formatOf(chat);
  if (format !== undefined) return format;
  const why =
    chat?.calls === 'unknown'
      ? 'how the base model writes calls is not known, though its chat template takes tools'
      : "the base model's chat template takes no tools";
  throw unsupported(why, 'Leave them out, or serve a base model of the families in docs/how-to/tools.md.');
};

/** The tools that have to be called, one of them; undefined: none has to be. @throws REQUEST_INVALID */
const forcedOf = (tools: readonly Tool[], choice: Choice, within: string): readonly Tool[] | undefined => {
  if (choice === 'required') return tools;
  if (typeof choice !== 'object' || choice === null) return undefined;
  const { name } = choice.function;
  const found = tools.filter((tool) => tool.name === name);
  if (found.length > 0) return found;
  throw wrong(`tool_choice${within}.name`, `is ${quoteUntrusted(name)}, which is none of the tools`);
};

/**
 * What a request asks of tools; undefined: nothing, and the model is not told of any. `within`: where errors say that the fields of a
 * function stand, of a tool.
 * @throws REQUEST_INVALID, REQUEST_UNSUPPORTED; both name the field
 */
export const toolsOf = (
  asked: ToolFields,
  chat: ChatInfo | undefined,
  within = '.function',
): AskedTools | undefined => {
  const { tool_choice: choice, parallel_tool_calls: parallel } = asked;
  const tools = checkedTools(asked.tools ?? [], within);
  const forced = forcedOf(tools, choice, within);
  if (tools.length === 0) {
    if (forced !== undefined) throw wrong('tool_choice', 'asks for a call, and there are no tools');
    return undefined;
  }
  if (choice === 'none') return undefined;
  const format = knownFormat(chat);
  const most = parallel === false || chat?.parallel !== true ? 1 : limits.calls;
  const names = new Set(tools.map(({ name }) => name));
  return {
    source: sourceOf(tools),
    structure: (text) => {
      if (forced !== undefined) return structureOf(forced, format, { most });
      if (text === undefined) return undefined;
      return structureOf(tools, format, { most, orJson: besideCalls(text, format) });
    },
    reader: () => (forced === undefined ? format : format.forced).read(names),
    most,
  };
};
