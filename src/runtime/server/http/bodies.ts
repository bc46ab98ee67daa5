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

const promptOf = (prompt: string | readonly number[]): Prompt =>
  typeof prompt === 'string' ? { kind: 'text', text: prompt } : { kind: 'ids', ids: prompt };

/** A list of numbers is one prompt, any other list one of prompts. */
const completionPrompts = ({ prompt }: CompletionBody): readonly [Prompt, ...Prompt[]] => {
  if (typeof prompt === 'string') return [promptOf(prompt)];
  const [first, ...more] = prompt.filter((one) => typeof one !== 'number');
  if (first !== undefined) return [promptOf(first), ...more.map(promptOf)];
  return [promptOf(prompt.filter((one) => typeof one === 'number'))];
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

export const askCompletion = (body: CompletionBody): Asked => {
  const [prompt, ...morePrompts] = completionPrompts(body);
  return {
    prompt,
    options: { ...completionOptions(body), echo: body.echo ?? undefined, morePrompts },
    form: {},
  };
};
