import { z } from 'zod';
import { quoteUntrusted } from '../../../errors/quote-untrusted.ts';
import { harmless, honoured, kind, objectOf, refused } from './field.ts';
import { lengthAndWords, reasoningEffort, refusedOfGeneration, templateVariables } from './generation.ts';
import { reader } from './parse.ts';
import { callItem, responseToolFields } from './response-tools.ts';
import { jsonSchema, structureFields } from './structure.ts';

const number = honoured(z.number().nullish());

/** `others`: what to do about an object that is none of them. */
const oneOf = <const N extends readonly string[]>(names: N, others: string) =>
  z.enum(names, {
    error: ({ input }) => {
      const given = typeof input === 'string' ? quoteUntrusted(input) : 'no text';
      return `is ${given}, must be ${names.slice(0, -1).join(', ')} or ${names.at(-1)}: ${others}`;
    },
  });

const media = 'prompts are text';
const notStored = 'conversations are not stored; send this one as input';

/** A part: `input_text` of a user or a tool, `output_text` and `reasoning_text` of an answer that is sent back. */
export const inputPart = {
  type: honoured(oneOf(['input_text', 'output_text', 'reasoning_text'], media)),
  text: honoured(z.string()),
  annotations: harmless('annotations are not given to the model'),
  logprobs: harmless('log probabilities are not given to the model'),
  /** OpenAI's clients add it to what they read. */
  parsed: harmless('the text says the same'),
  prompt_cache_breakpoint: harmless('prefixes are cached without it'),
  refusal: refused('refusals are not given to the model'),
  image_url: refused(media),
  detail: refused(media),
  file_id: refused(media),
  file_data: refused(media),
  file_url: refused(media),
  filename: refused(media),
  input_audio: refused(media),
};

const partsOf = z.union([z.string(), z.array(objectOf(inputPart))], {
  error: 'must be a string or a list of text parts',
});

export const summaryPart = {
  type: honoured(z.literal('summary_text', { error: 'must be summary_text' })),
  text: honoured(z.string()),
};

/** An item of the input: a message, a call, what its tool answered, thoughts, or a reference to one of an answer. chat/input-items.ts says which has what. */
export const inputItem = {
  type: kind(
    oneOf(
      ['message', 'function_call', 'function_call_output', 'reasoning', 'item_reference'],
      'leave it out, or say what it has in a message',
    ).nullish(),
  ),
  role: honoured(z.enum(['system', 'developer', 'user', 'assistant']).nullish()),
  content: honoured(partsOf.nullish(), inputPart),
  output: honoured(partsOf.nullish(), inputPart),
  ...callItem,
  /** Thoughts without content are taken from it. */
  summary: honoured(z.array(objectOf(summaryPart)).nullish(), summaryPart),
  /** Of a reference; that of another item changes nothing. */
  id: honoured(z.string().nullish()),
  status: harmless('a message is taken as it is'),
  phase: harmless('a message is taken as it is'),
};

export const readItem = reader(inputItem);
export type InputItem = ReturnType<typeof readItem>;

/** OpenAI's, which has the schema beside its type. */
export const textFormat = {
  type: honoured(z.enum(['text', 'json_object', 'json_schema'])),
  ...jsonSchema,
  schema: honoured(jsonSchema.schema.schema.nullish()),
};

export const textConfig = {
  format: honoured(objectOf(textFormat).nullish(), textFormat),
  verbosity: refused('the verbosity cannot be chosen yet', 'medium'),
};

/** What an answer may be asked to have in addition; of these an answer of text has log probabilities only. */
const includable = [
  'message.output_text.logprobs',
  'reasoning.encrypted_content',
  'file_search_call.results',
  'web_search_call.results',
  'web_search_call.action.sources',
  'message.input_image.image_url',
  'computer_call_output.output.image_url',
  'code_interpreter_call.outputs',
] as const;

export const reasoning = {
  effort: reasoningEffort,
  /** Thoughts come as the summary, whole, in place of content. */
  summary: honoured(
    z.enum(['auto', 'detailed'], { error: 'must be auto or detailed: thoughts are told whole' }).nullish(),
  ),
  generate_summary: refused('summary took its place'),
  mode: refused('there is one mode', 'standard'),
  context: refused('the chat template says which thoughts of former turns it takes', 'auto'),
};

/** `/v1/responses`. */
export const responseFields = {
  model: honoured(z.string()),
  input: honoured(
    z.union([z.string(), z.array(objectOf(inputItem))], {
      error: 'must be a string, or a list of messages, calls and their answers',
    }),
    inputItem,
  ),
  instructions: honoured(z.string().nullish()),
  max_output_tokens: number,
  temperature: number,
  top_p: number,
  top_logprobs: number,
  include: honoured(z.array(z.enum(includable)).nullish()),
  text: honoured(objectOf(textConfig).nullish(), textConfig),
  /** Told again with the answer. */
  metadata: honoured(z.record(z.string(), z.string()).nullish()),
  user: honoured(z.string().nullish()),
  /** Unless it is false, later requests may refer to items of the answer. */
  store: honoured(z.boolean().nullish()),
  stream: honoured(z.boolean().nullish()),
  stream_options: refused('chunks are not padded', {}, { include_obfuscation: false }),
  /** vLLM's extensions, and those of sampling that it lacks. */
  top_k: number,
  min_p: number,
  repetition_penalty: number,
  frequency_penalty: number,
  presence_penalty: number,
  logit_bias: honoured(z.record(z.string(), z.number()).nullish()),
  seed: number,
  stop: honoured(z.union([z.string(), z.array(z.string())]).nullish()),
  stop_token_ids: honoured(z.array(z.number()).nullish()),
  ...lengthAndWords,
  structured_outputs: structureFields.structured_outputs,
  ...refusedOfGeneration,
  n: refused('each response has one answer; ask /v1/chat/completions for several', 1),
  previous_response_id: refused(notStored),
  conversation: refused(notStored),
  previous_input_messages: refused(notStored),
  prompt: refused('there are no stored prompts; send their text as instructions'),
  background: refused('an answer is given while its caller waits', false),
  context_management: refused('a prompt that is too long is refused, not cut', []),
  truncation: refused('a prompt that is too long is refused, not cut', 'disabled'),
  ...responseToolFields,
  reasoning: honoured(objectOf(reasoning).nullish(), reasoning),
  chat_template_kwargs: templateVariables,
  image: refused('answers are text'),
  moderation: refused('there is no moderation'),
  access_programs: refused('there are no programs', {}),
  enable_response_messages: refused('prompts are not told', false),
  mm_processor_kwargs: refused('there are no media in prompts', {}),
  media_io_kwargs: refused('there are no media in prompts', {}),
  service_tier: harmless('there is one tier'),
  safety_identifier: harmless('it identifies a user to OpenAI'),
  prompt_cache_key: harmless('prefixes are cached without it'),
  prompt_cache_options: harmless('prefixes are cached without it'),
  prompt_cache_retention: harmless('prefixes are cached without it'),
};
