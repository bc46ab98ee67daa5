import { AdaptletError } from '../../errors/adaptlet-error.ts';

/** Of a runtime that is being stopped: unlike an engine that broke, it does not come back by itself. */
export const closing = (what: string): AdaptletError =>
  new AdaptletError('ENGINE_DOWN', what, {
    advice: 'Send the request to another runtime, or again when this one has started.',
  });

/** The weights that computed something that is not finite, and what to do about them. */
export const culpritOf = (adapter: string | null): { readonly weights: string; readonly advice: string } =>
  adapter === null
    ? { weights: 'the base model', advice: 'Export the base model again, in another precision.' }
    : { weights: `adapter ${adapter}`, advice: 'Roll the adapter back.' };

/** In OpenAI's and vLLM's words: clients that shorten a prompt and try again look for the number in them. `what`: what there is. */
export const promptTooLong = (
  what: string,
  { tokens, because, more }: { readonly tokens: number; readonly because: string; readonly more: string },
  advice = 'Shorten the prompt.',
): AdaptletError =>
  new AdaptletError(
    'PROMPT_TOO_LONG',
    `This model's maximum context length is ${tokens} tokens${because}; ${what}`,
    { advice: `${advice}${more}` },
  );
