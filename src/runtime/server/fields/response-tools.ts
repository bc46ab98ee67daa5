import { z } from 'zod';
import { harmless, honoured, kind, objectOf, refused } from './field.ts';

const programs = 'there are no programs that call tools';

/** A tool of `/v1/responses`: the fields of a chat's function stand beside its type. */
export const responseTool = {
  type: kind(z.literal('function', { error: 'must be function: a runtime has no tools of its own' })),
  name: honoured(z.string()),
  description: honoured(z.string().nullish()),
  parameters: honoured(z.record(z.string(), z.unknown(), { error: 'must be a JSON schema' }).nullish()),
  /** Told again. A call that has to come keeps to its schema always, one of the model is as it wrote it. */
  strict: honoured(z.boolean().nullish()),
  output_schema: harmless('what a tool answers is not checked'),
  allowed_callers: refused(programs, ['direct']),
  async: refused('tools are called one answer at a time', false),
  defer_loading: refused('tools are given all at once', false),
};

export const responseChoice = {
  type: honoured(z.literal('function', { error: 'must be function' })),
  name: honoured(z.string()),
  mode: refused('give the tools alone that may be called'),
  tools: refused('give the tools alone that may be called'),
  server_label: refused('tools are functions'),
};

/** Fields of a response that are about tools. */
export const responseToolFields = {
  tools: honoured(
    z.array(objectOf(responseTool), { error: 'must be a list of tools' }).nullish(),
    responseTool,
  ),
  tool_choice: honoured(
    z
      .union([z.enum(['none', 'auto', 'required']), objectOf(responseChoice)], {
        error: 'must be none, auto, required, or one of the tools',
      })
      .nullish(),
    responseChoice,
  ),
  parallel_tool_calls: honoured(z.boolean().nullish()),
  max_tool_calls: harmless('it counts calls that a server makes itself'),
};

/** Fields of an item that is no message: of a call, of what its tool answered, of thoughts. */
export const callItem = {
  call_id: honoured(z.string().nullish()),
  name: honoured(z.string().nullish()),
  arguments: honoured(z.string({ error: 'must be a JSON object, as text' }).nullish()),
  namespace: refused('tools have no namespaces'),
  caller: harmless('calls are those of the model'),
  async: harmless('calls stand in their order'),
  created_by: harmless('who made an item is not given to the model'),
  parsed_arguments: harmless('clients make it of the arguments'),
  input: refused('tools are functions'),
  action: refused('tools are functions'),
  encrypted_content: refused('thoughts are not encrypted'),
};
