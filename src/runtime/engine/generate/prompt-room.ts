import { AdaptletError } from '../../../errors/adaptlet-error.ts';
import type { GenerateInput, PromptRoom } from '../engine.ts';
import { promptTooLong } from '../failures.ts';
import type { GenerateModel } from './generate-model.ts';

/** Of a graph that appends: its memory for an answer is taken as a whole, and more would keep others from their turns. */
const appendedTokens = 1024;

/** The context of the model, or the memory for keys and values where that is less. */
export const promptRoom = (
  { settings, sessions, codec }: GenerateModel,
  kvBudgetBytes: number,
): PromptRoom => {
  const context = { tokens: settings.contextLength, because: '', more: '' };
  const memory = {
    tokens: sessions.base.tokensIn(kvBudgetBytes),
    because: ', as the memory for keys and values (--kv-memory) holds no more',
    more: ' A larger --kv-memory holds more.',
  };
  const { maxTokenBytes } = codec;
  return {
    ...(memory.tokens < context.tokens ? memory : context),
    ...(maxTokenBytes === undefined ? {} : { maxTokenBytes }),
    ...(sessions.rowsTogether ? {} : { answerTokens: appendedTokens }),
  };
};

/**
 * Tokens that the answer may have.
 * @throws REQUEST_INVALID, PROMPT_TOO_LONG
 */
export const tokensFor = (input: GenerateInput, promptTokens: number, room: PromptRoom): number => {
  const { maxTokens, minTokens = 0, fitContext = false } = input;
  if (!Number.isInteger(maxTokens) || maxTokens < 1) {
    throw new AdaptletError(
      'REQUEST_INVALID',
      `max_tokens is ${maxTokens}; it must be a whole number, 1 or more`,
    );
  }
  const left = room.tokens - promptTokens;
  if (maxTokens <= left) return maxTokens;
  if (fitContext && left > 0 && left >= minTokens) return left;
  const asked = fitContext && minTokens > 0 ? `at least ${minTokens}` : `up to ${maxTokens}`;
  const what = `the prompt has ${promptTokens} tokens and ${asked} are asked for`;
  throw promptTooLong(what, room, left > 0 ? 'Shorten the prompt or ask for fewer tokens.' : undefined);
};
