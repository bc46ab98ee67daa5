import type { Prompt } from '../../engine/engine.ts';
import type { Asked } from '../chat/asked.ts';
import { FieldError } from '../fields/field-error.ts';
import { chatFields, completionFields } from '../fields/generation.ts';
import { optionsOf } from '../fields/options.ts';
import { reader } from '../fields/parse.ts';
import type { Options } from '../options.ts';

export const readCompletion = reader(completionFields);
export const readChat = reader(chatFields);

export type CompletionBody = ReturnType<typeof readCompletion>;
export type ChatBody = ReturnType<typeof readChat>;

const completionPrompt = ({ prompt }: CompletionBody): Prompt => {
  if (typeof prompt === 'string') return { kind: 'text', text: prompt };
  const [first] = prompt;
  if (typeof first === 'string') return { kind: 'text', text: first };
  const ids = Array.isArray(first) ? first : prompt.filter((id) => typeof id === 'number');
  return { kind: 'ids', ids };
};

/** A chat says with one field whether, and with the other how many; a completion says both with one. */
const logprobsOf = (body: CompletionBody | ChatBody): number | undefined => {
  if ('prompt' in body) return typeof body.logprobs === 'number' ? body.logprobs : undefined;
  const { logprobs, top_logprobs: top } = body;
  if (logprobs === true) return top ?? 0;
  if ((top ?? 0) === 0) return undefined;
  throw new FieldError('REQUEST_INVALID', `top_logprobs is ${top}, it needs logprobs: true`, 'top_logprobs');
};

export const completionOptions = (body: CompletionBody | ChatBody): Options => ({
  ...optionsOf(body),
  logprobs: logprobsOf(body),
});

export const askCompletion = (body: CompletionBody): Asked => ({
  prompt: completionPrompt(body),
  options: completionOptions(body),
  form: {},
});
