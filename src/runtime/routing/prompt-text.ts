import type { Prompt } from '../engine/engine.ts';
import type { EncoderText } from '../engine/tasks.ts';
import type { PromptText, RequestContext } from './request.ts';

/** Characters (UTF-16 code units) that patterns are asked about: the beginning of a prompt, or a whole header. A bound on what a request can cost. */
export const maxPatternText = 2048;

const beginningOf = (text: string): PromptText => ({
  text: text.slice(0, maxPatternText).toWellFormed(),
  isCut: text.length > maxPatternText,
});

/**
 * What routing sees of a prompt: its beginning, of a conversation that of the last message of the user. Undefined: it has
 * no text, as token ids have none, or it is not the only one: several go the same way, and none of them speaks for the others.
 */
export const promptTextOf = ([prompt, ...more]: readonly Prompt[]): PromptText | undefined => {
  if (prompt === undefined || more.length > 0 || prompt.kind === 'ids') return undefined;
  if (prompt.kind === 'text') return beginningOf(prompt.text);
  const last = prompt.messages.findLast(({ role }) => role === 'user');
  return last === undefined ? undefined : beginningOf(last.content);
};

/** Of what is to be embedded or classified: one text, as above. */
export const inputTextOf = (texts: readonly EncoderText[]): PromptText | undefined => {
  const [first, ...more] = texts;
  return first?.kind === 'text' && more.length === 0 ? beginningOf(first.text) : undefined;
};

export const withPrompt = (context: RequestContext, prompt: PromptText | undefined): RequestContext =>
  prompt === undefined ? context : { ...context, prompt };
