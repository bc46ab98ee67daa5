import { z } from 'zod';
import { harmless, honoured, objectOf, refused } from './field.ts';
import { structureFields } from './structure.ts';
import { toolCall, toolFields } from './tools.ts';

const number = honoured(z.number().nullish());

export const streamOptions = {
  include_usage: honoured(z.boolean().nullish()),
  continuous_usage_stats: refused('usage comes once, in the last chunk', false),
  include_obfuscation: refused('chunks are not padded', false),
};

const beams = 'there is no beam search yet';
const tokenIds = 'tokens are given as text';
const parts = 'prompts are text';
const mixture = 'experts are not reported';
const transfer = 'keys and values are not moved between servers';
const onlyRendering = 'it belongs to the render calls of vLLM';

/** Fields of text generation that would change the answer and that no protocol has. */
export const refusedOfGeneration = {
  n: refused('each request gets one answer', 1),
  best_of: refused('all answers are given, and none is picked', 1),
  use_beam_search: refused(beams, false),
  length_penalty: refused(beams, 1),
  allowed_token_ids: refused('tokens cannot be restricted to a list yet; logit_bias bans tokens'),
  logits_processors: refused('clients cannot bring code', []),
  repetition_detection: refused('repetition does not end an answer yet'),
  thinking_token_budget: refused('thoughts have no limit of their own; max_tokens is one', -1),
  watermarking: refused('answers have no watermark', false),
  include_stop_str_in_output: refused('the stop string is left out', false),
  skip_special_tokens: refused('special tokens are left out of the text', true),
  spaces_between_special_tokens: harmless('special tokens are left out of the text'),
  detokenize: refused('answers are text', true),
  prompt_logprobs: refused('log probabilities of a prompt come with echo and logprobs of /v1/completions'),
  logprob_token_ids: refused('log probabilities are given for the likeliest tokens only'),
  flat_logprobs: refused("log probabilities have OpenAI's form", false),
  truncate_prompt_tokens: refused('a prompt that is too long is refused, not cut'),
  truncation_side: harmless('prompts are not cut'),
  echo: refused('the prompt is not part of the answer', false),
  return_token_ids: refused(tokenIds, false),
  return_tokens_as_token_ids: refused(tokenIds, false),
  return_token_offsets: harmless(onlyRendering),
  return_mm_kwargs: harmless(onlyRendering),
  routed_experts_prompt_start: refused(mixture, 0),
  stream_interval: harmless('each token has its chunk'),
  priority: refused('use the header x-adaptlet-priority, where higher goes first', 0),
  session_id: refused('use the header x-adaptlet-session'),
  request_id: harmless('each answer has its own id'),
  cache_salt: refused('the prefix cache has no salt'),
  kv_transfer_params: refused(transfer, {}),
  ec_transfer_params: refused(transfer, {}),
  vllm_xargs: refused('there are no extensions', {}),
};

/** vLLM's extensions that say when an answer may end, and what it may not say. */
export const lengthAndWords = {
  min_tokens: number,
  ignore_eos: honoured(z.boolean().nullish()),
  bad_words: honoured(z.array(z.string()).nullish()),
};

/** Fields that both kinds of completion have; defaults are in docs/reference/requests.md. */
const shared = {
  model: honoured(z.string()),
  max_tokens: number,
  temperature: number,
  top_p: number,
  /** vLLM's extensions. */
  top_k: number,
  min_p: number,
  repetition_penalty: number,
  stop_token_ids: honoured(z.array(z.number()).nullish()),
  ...lengthAndWords,
  seed: number,
  frequency_penalty: number,
  presence_penalty: number,
  logit_bias: honoured(z.record(z.string(), z.number()).nullish()),
  stop: honoured(z.union([z.string(), z.array(z.string())]).nullish()),
  user: honoured(z.string().nullish()),
  stream: honoured(z.boolean().nullish()),
  stream_options: honoured(objectOf(streamOptions).nullish(), streamOptions),
  ...structureFields,
  ...refusedOfGeneration,
  n: number,
};

/** `/v1/completions`. */
export const completionFields = {
  ...shared,
  prompt: honoured(
    z.union(
      [
        z.string(),
        z.array(z.string()),
        z.array(z.int({ abort: true })),
        z.array(z.array(z.int({ abort: true }))),
      ],
      { error: 'must be a string, a list of token ids, or a list of strings or of lists of token ids' },
    ),
  ),
  /** How many of the likeliest tokens; 0 is the token alone. */
  logprobs: honoured(z.union([z.number(), z.literal(false)], { error: 'must be a number' }).nullish()),
  echo: honoured(z.boolean().nullish()),
  suffix: refused('text cannot be filled in yet', ''),
  prompt_embeds: refused(parts),
  add_special_tokens: refused("the tokenizer's own are always added", true),
};

export const contentPart = {
  type: honoured(z.literal('text', { error: `must be text: ${parts}` })),
  text: honoured(z.string()),
  image_url: refused(parts),
  image_pil: refused(parts),
  image_embeds: refused(parts),
  input_audio: refused(parts),
  audio_url: refused(parts),
  audio_embeds: refused(parts),
  video_url: refused(parts),
  file: refused(parts),
  refusal: refused('refusals are not given to the model'),
  thinking: refused('thoughts are given as reasoning, beside the content'),
  uuid: harmless('it identifies media, which are refused'),
  prompt_cache_breakpoint: harmless('prefixes are cached without it'),
};

export const message = {
  role: honoured(z.enum(['system', 'developer', 'user', 'assistant', 'tool'])),
  content: honoured(
    z
      .union([z.string(), z.array(objectOf(contentPart))], {
        error: 'must be a string or a list of text parts',
      })
      .nullish(),
    contentPart,
  ),
  name: honoured(z.string().nullish()),
  tool_calls: honoured(z.array(objectOf(toolCall)).nullish(), toolCall),
  tool_call_id: honoured(z.string().nullish()),
  tools: refused('tools are given beside the messages', []),
  function_call: refused('tool_calls took its place'),
  audio: refused(parts),
  refusal: refused('refusals are not given to the model', ''),
  reasoning: honoured(z.string().nullish()),
  reasoning_content: honoured(z.string().nullish()),
  annotations: harmless('annotations are not given to the model'),
};

/** Variables of the chat template. */
export const templateVariables = honoured(
  z
    .record(
      z.string(),
      z.union([z.string(), z.number(), z.boolean()], { error: 'must be a text, a number, true or false' }),
    )
    .nullish(),
);

const efforts = ['none', 'minimal', 'low', 'medium', 'high', 'xhigh', 'max'] as const;
/** How much is thought; chat/template-values.ts says what becomes of it. */
export const reasoningEffort = honoured(
  z.enum(efforts, { error: `must be one of ${efforts.join(', ')}` }).nullish(),
);

const template = "the base model's chat template is used as it is";
const media = 'there are no media in prompts';

/** Of vLLM's chat calls, where a conversation is turned into a prompt. */
export const templateFields = {
  continue_final_message: refused('the answer is always a new message', false),
  chat_template: refused(template),
  chat_template_kwargs: refused(template, {}),
  media_io_kwargs: refused(media, {}),
  mm_processor_kwargs: refused(media, {}),
};

/** `/v1/chat/completions`. */
export const chatFields = {
  ...shared,
  messages: honoured(z.array(objectOf(message)), message),
  max_completion_tokens: number,
  logprobs: honoured(z.boolean().nullish()),
  top_logprobs: number,
  ...templateFields,
  chat_template_kwargs: templateVariables,
  add_generation_prompt: refused('the answer is always a new message', true),
  add_special_tokens: refused(template, false),
  documents: refused(template, []),
  return_prompt_text: refused('the prompt is not part of the answer', false),
  include_reasoning: refused('thoughts stand beside the answer, in reasoning_content', true),
  ...toolFields,
  reasoning_effort: reasoningEffort,
  verbosity: refused('the verbosity cannot be chosen yet', 'medium'),
  modalities: refused('answers are text', ['text'], []),
  audio: refused('answers are text'),
  web_search_options: refused('there is no web search'),
  moderation: refused('there is no moderation'),
  prediction: harmless('a prediction makes an answer faster, not different'),
  metadata: harmless('answers are not stored'),
  store: harmless('answers are not stored'),
  service_tier: harmless('there is one tier'),
  safety_identifier: harmless('it identifies a user to OpenAI'),
  prompt_cache_key: harmless('prefixes are cached without it'),
  prompt_cache_options: harmless('prefixes are cached without it'),
  prompt_cache_retention: harmless('prefixes are cached without it'),
};
