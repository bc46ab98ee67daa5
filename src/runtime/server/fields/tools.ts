import { z } from 'zod';
import { harmless, honoured, objectOf, refused } from './field.ts';

const custom = 'tools are functions';
const legacy = 'tools took its place';

const calledFunction = {
  name: honoured(z.string()),
  arguments: honoured(z.string({ error: 'must be a JSON object, as text' })),
  parsed_arguments: harmless('clients make it of the arguments'),
};

/** A call that an assistant made. */
export const toolCall = {
  id: honoured(z.string()),
  type: honoured(z.literal('function', { error: 'must be function' }).nullish()),
  function: honoured(objectOf(calledFunction), calledFunction),
  index: harmless('calls stand in their order'),
  custom: refused(custom),
};

const toolFunction = {
  name: honoured(z.string()),
  description: honoured(z.string().nullish()),
  parameters: honoured(z.record(z.string(), z.unknown(), { error: 'must be a JSON schema' }).nullish()),
  strict: harmless('a call that has to come keeps to its schema always, one of the model is as it wrote it'),
};

export const tool = {
  type: honoured(z.literal('function', { error: 'must be function' })),
  function: honoured(objectOf(toolFunction), toolFunction),
  custom: refused(custom),
};

const named = { name: honoured(z.string()) };

export const namedChoice = {
  type: honoured(z.literal('function')),
  function: honoured(objectOf(named), named),
  allowed_tools: refused('give the tools alone that may be called'),
  custom: refused(custom),
};

/** Fields of a chat that are about tools. */
export const toolFields = {
  tools: honoured(z.array(objectOf(tool), { error: 'must be a list of tools' }).nullish(), tool),
  tool_choice: honoured(
    z
      .union([z.enum(['none', 'auto', 'required']), objectOf(namedChoice)], {
        error: 'must be none, auto, required, or one of the tools',
      })
      .nullish(),
    namedChoice,
  ),
  parallel_tool_calls: honoured(z.boolean().nullish()),
  functions: refused(legacy, []),
  function_call: refused(legacy, 'none', 'auto'),
};
