import { AdaptletError } from '../../errors/adaptlet-error.ts';
import type { Prompt } from '../engine/engine.ts';
import type { GenerateRequest, Serving } from '../serving/serving.ts';

/** What a client may ask of a generation, as every protocol reads it. Absent ones take the protocol's default. */
export type Options = {
  readonly maxTokens?: number | undefined;
  readonly temperature?: number | undefined;
  readonly topP?: number | undefined;
  readonly topK?: number | undefined;
  readonly seed?: number | undefined;
  readonly stop?: readonly string[] | undefined;
};

export type OptionDefaults = { readonly maxTokens: number; readonly temperature: number };

/** gRPC: greedy, 256 tokens. */
export const grpcDefaults: OptionDefaults = { maxTokens: 256, temperature: 0 };

/** Stop strings of one request, and characters of one. */
const stopLimits = { count: 16, length: 256 } as const;

const refuse = (what: string): never => {
  throw new AdaptletError('REQUEST_INVALID', what);
};

const within = (name: string, value: number, min: number, max: number, whole: boolean): number =>
  Number.isFinite(value) && value >= min && value <= max && (!whole || Number.isInteger(value))
    ? value
    : refuse(`${name} is ${value}, it must be ${whole ? 'a whole number ' : ''}from ${min} to ${max}`);

/**
 * Characters that one token may stand for on average. No language comes near; without a bound the engine would turn
 * megabytes into tokens, while everybody waits, only to find that they are too many.
 */
const maxCharactersPerToken = 16;

const tooLong = (what: string, context: number): never => {
  throw new AdaptletError('PROMPT_TOO_LONG', `the prompt has ${what}; the context holds ${context} tokens`);
};

const checkedText = (texts: readonly string[], context: number): void => {
  const characters = texts.reduce((sum, text) => sum + text.length, 0);
  if (characters > context * maxCharactersPerToken) tooLong(`${characters} characters`, context);
};

const checkedPrompt = (prompt: Prompt, base: Serving['base'], context: number): Prompt => {
  if (prompt.kind === 'text') {
    checkedText([prompt.text], context);
    return prompt.text === '' ? refuse('the prompt is empty') : prompt;
  }
  if (prompt.kind === 'chat') {
    // A chat template gives every message a token at least.
    if (prompt.messages.length > context) tooLong(`${prompt.messages.length} messages`, context);
    checkedText(
      prompt.messages.map(({ content }) => content),
      context,
    );
    return prompt.messages.length === 0 ? refuse('messages is empty') : prompt;
  }
  if (prompt.ids.length === 0) refuse('the prompt is empty');
  if (prompt.ids.length > context) tooLong(`${prompt.ids.length} tokens`, context);
  const limit = base.vocabSize > 0 ? base.vocabSize : Number.MAX_SAFE_INTEGER;
  const bad = prompt.ids.find((id) => !Number.isSafeInteger(id) || id < 0 || id >= limit);
  return bad === undefined ? prompt : refuse(`token id ${bad} is not in the vocabulary of ${base.vocabSize}`);
};

/**
 * A checked request. Errors: REQUEST_INVALID names the field by the name that all protocols have in common;
 * PROMPT_TOO_LONG when it is plain before anything is turned into tokens.
 */
export const generateRequest = (
  prompt: Prompt,
  options: Options,
  defaults: OptionDefaults,
  base: Serving['base'],
): GenerateRequest => {
  // The context length is 0 until the base model is loaded for the first time.
  const context = base.contextLength > 0 ? base.contextLength : Number.MAX_SAFE_INTEGER;
  const stop = (options.stop ?? []).filter((s) => s !== '');
  if (stop.length > stopLimits.count)
    refuse(`stop has ${stop.length} strings, at most ${stopLimits.count} are allowed`);
  if (stop.some((s) => s.length > stopLimits.length))
    refuse(`a stop string has more than ${stopLimits.length} characters`);
  const topP = within('top_p', options.topP ?? 1, 0, 1, false);
  return {
    prompt: checkedPrompt(prompt, base, context),
    maxTokens: within(
      'max_tokens',
      options.maxTokens ?? Math.min(defaults.maxTokens, context),
      1,
      context,
      true,
    ),
    // Who names no number gets what there is room for; who names one is told when there is not.
    ...(options.maxTokens === undefined ? { fitContext: true } : {}),
    sampling: {
      temperature: within('temperature', options.temperature ?? defaults.temperature, 0, 2, false),
      topP: topP === 0 ? refuse('top_p is 0, it must be above 0') : topP,
      topK: within('top_k', options.topK ?? 0, 0, 2 ** 31 - 1, true),
      ...(options.seed === undefined
        ? {}
        : { seed: within('seed', options.seed, 0, Number.MAX_SAFE_INTEGER, true) }),
    },
    stop,
  };
};
