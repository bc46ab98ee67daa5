import { z } from 'zod';
import type { Prompt } from '../../engine/engine.ts';
import type { Options } from '../options.ts';
import { FieldError } from './problem.ts';
import { refuseUnsupported } from './unsupported.ts';

/** Fields that both kinds of completion have. null is as good as absent. */
const shared = {
  model: z.string(),
  max_tokens: z.number().nullish(),
  temperature: z.number().nullish(),
  top_p: z.number().nullish(),
  /** vLLM's extension. */
  top_k: z.number().nullish(),
  seed: z.number().nullish(),
  frequency_penalty: z.number().nullish(),
  presence_penalty: z.number().nullish(),
  logit_bias: z.record(z.string(), z.number()).nullish(),
  /** vLLM's extensions. */
  min_p: z.number().nullish(),
  repetition_penalty: z.number().nullish(),
  stop_token_ids: z.array(z.number()).nullish(),
  stop: z.union([z.string(), z.array(z.string())]).nullish(),
  user: z.string().nullish(),
  stream: z.boolean().nullish(),
  stream_options: z.object({ include_usage: z.boolean().nullish() }).nullish(),
};

export const completionSchema = z.object({
  ...shared,
  /** How many of the likeliest tokens; 0 is the token alone. */
  logprobs: z.union([z.number(), z.literal(false)], { error: 'must be a number' }).nullish(),
  prompt: z.union(
    [z.string(), z.array(z.string()).length(1), z.array(z.int()), z.array(z.array(z.int())).length(1)],
    {
      error: 'must be one string, or one list of token ids',
    },
  ),
});

const textPart = z.object({ type: z.literal('text'), text: z.string() });

export const chatSchema = z.object({
  ...shared,
  max_completion_tokens: z.number().nullish(),
  logprobs: z.boolean().nullish(),
  top_logprobs: z.number().nullish(),
  messages: z.array(
    z.object({
      role: z.enum(['system', 'developer', 'user', 'assistant']),
      content: z.union([z.string(), z.array(textPart)], {
        error: 'must be a string or a list of text parts',
      }),
    }),
  ),
});

export type CompletionBody = z.infer<typeof completionSchema>;
export type ChatBody = z.infer<typeof chatSchema>;

/** Errors: REQUEST_UNSUPPORTED, REQUEST_INVALID; both name the field. */
export const parseBody = <T>(schema: z.ZodType<T>, body: unknown): T => {
  if (typeof body === 'object' && body !== null) refuseUnsupported(body as Record<string, unknown>);
  const parsed = schema.safeParse(body);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  const path = issue?.path.join('.') ?? '';
  throw new FieldError(
    'REQUEST_INVALID',
    `${path === '' ? 'the body' : path}: ${issue?.message ?? 'is not valid'}`,
    path,
  );
};

export const completionPrompt = ({ prompt }: CompletionBody): Prompt => {
  if (typeof prompt === 'string') return { kind: 'text', text: prompt };
  const [first] = prompt;
  if (typeof first === 'string') return { kind: 'text', text: first };
  const ids = Array.isArray(first) ? first : prompt.filter((id) => typeof id === 'number');
  return { kind: 'ids', ids };
};

/** `developer` is what newer OpenAI models call `system`; chat templates only know the latter. */
export const chatPrompt = ({ messages }: ChatBody): Prompt => ({
  kind: 'chat',
  messages: messages.map(({ role, content }) => ({
    role: role === 'developer' ? 'system' : role,
    content: typeof content === 'string' ? content : content.map(({ text }) => text).join(''),
  })),
});

/** A chat says with one field whether, and with the other how many; a completion says both with one. */
const logprobsOf = (body: CompletionBody | ChatBody): number | undefined => {
  if ('prompt' in body) return typeof body.logprobs === 'number' ? body.logprobs : undefined;
  const { logprobs, top_logprobs: top } = body;
  if (logprobs === true) return top ?? 0;
  if ((top ?? 0) === 0) return undefined;
  throw new FieldError('REQUEST_INVALID', `top_logprobs is ${top}, it needs logprobs: true`, 'top_logprobs');
};

export const optionsOf = (body: CompletionBody | ChatBody): Options => ({
  maxTokens:
    ('max_completion_tokens' in body ? body.max_completion_tokens : undefined) ??
    body.max_tokens ??
    undefined,
  temperature: body.temperature ?? undefined,
  topP: body.top_p ?? undefined,
  // vLLM writes "off" as -1.
  topK: body.top_k === -1 ? 0 : (body.top_k ?? undefined),
  seed: body.seed ?? undefined,
  minP: body.min_p ?? undefined,
  repetitionPenalty: body.repetition_penalty ?? undefined,
  frequencyPenalty: body.frequency_penalty ?? undefined,
  presencePenalty: body.presence_penalty ?? undefined,
  logitBias: body.logit_bias ?? undefined,
  stop: typeof body.stop === 'string' ? [body.stop] : (body.stop ?? undefined),
  stopTokenIds: body.stop_token_ids ?? undefined,
  logprobs: logprobsOf(body),
});
