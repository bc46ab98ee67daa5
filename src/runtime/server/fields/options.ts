import type { z } from 'zod';
import type { Options } from '../options.ts';
import type { objectOf } from './field.ts';
import type { chatFields } from './generation.ts';
import { structureOf } from './structure.ts';

type Chat = z.infer<ReturnType<typeof objectOf<typeof chatFields>>>;

/** Fields that say how to generate, by the names that the protocols have in common. null is as good as absent. */
export type NamedOptions = Partial<
  Omit<
    Chat,
    | 'model'
    | 'messages'
    | 'user'
    | 'stream'
    | 'stream_options'
    | 'logprobs'
    | 'top_logprobs'
    | 'tools'
    | 'tool_choice'
    | 'parallel_tool_calls'
    | 'chat_template_kwargs'
    | 'reasoning_effort'
  >
>;

export const optionsOf = (named: NamedOptions): Options => ({
  maxTokens: named.max_completion_tokens ?? named.max_tokens ?? undefined,
  temperature: named.temperature ?? undefined,
  topP: named.top_p ?? undefined,
  // vLLM writes "off" as -1.
  topK: named.top_k === -1 ? 0 : (named.top_k ?? undefined),
  seed: named.seed ?? undefined,
  minP: named.min_p ?? undefined,
  repetitionPenalty: named.repetition_penalty ?? undefined,
  frequencyPenalty: named.frequency_penalty ?? undefined,
  presencePenalty: named.presence_penalty ?? undefined,
  logitBias: named.logit_bias ?? undefined,
  stop: typeof named.stop === 'string' ? [named.stop] : (named.stop ?? undefined),
  stopTokenIds: named.stop_token_ids ?? undefined,
  minTokens: named.min_tokens ?? undefined,
  ignoreEos: named.ignore_eos ?? undefined,
  badWords: named.bad_words ?? undefined,
  structure: structureOf(named),
  choices: named.n ?? undefined,
});
