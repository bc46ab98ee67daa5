import type { Prompt, PromptRoom, Structure } from '../engine/engine.ts';
import { promptTooLong } from '../engine/failures.ts';
import { chatTexts } from '../engine/model/chat-input.ts';
import { aboutPrompt, answersTo } from '../serving/choices.ts';
import type { GenerateRequest, Serving } from '../serving/serving.ts';
import { outside, within } from './range.ts';
import { refuse } from './refuse.ts';
import { type SamplingOptions, samplingOf } from './sampling-options.ts';

/** What a client may ask of a generation, as every protocol reads it. Absent ones take the protocol's default. */
export type Options = SamplingOptions & {
  readonly maxTokens?: number | undefined;
  readonly stop?: readonly string[] | undefined;
  readonly stopTokenIds?: readonly number[] | undefined;
  readonly minTokens?: number | undefined;
  readonly ignoreEos?: boolean | undefined;
  readonly badWords?: readonly string[] | undefined;
  /** How many of the likeliest tokens besides the one that was taken; undefined: no log probabilities. */
  readonly logprobs?: number | undefined;
  /** The prompt is told before the answer. */
  readonly echo?: boolean | undefined;
  readonly structure?: Structure | undefined;
  /** See GenerateInput. */
  readonly marked?: boolean | undefined;
  /** Answers to each prompt. */
  readonly choices?: number | undefined;
  /** Prompts behind the first one. */
  readonly morePrompts?: readonly Prompt[] | undefined;
};

/** `maxTokens`: Infinity for what there is room for. */
export type OptionDefaults = { readonly maxTokens: number; readonly temperature: number };

/** gRPC: greedy, 256 tokens. */
export const grpcDefaults: OptionDefaults = { maxTokens: 256, temperature: 0 };

/** Stop strings of one request, characters of one, and stop tokens. */
const stopLimits = { count: 16, length: 256, tokens: 16 } as const;

/** Words that one answer may not have, characters of one, and of all: each token costs a look at all of them. */
const wordLimits = { count: 1024, length: 256, characters: 16_384 } as const;

/** Likeliest tokens with each token: what OpenAI allows. */
const maxLogprobs = 20;

/** Log probabilities of prompts that one request is told: of each token, and of as many likeliest ones. They are there at once. */
const maxEchoed = 16_384;

/** Answers to one prompt, and to all prompts of a request: each takes a place in the engine. */
const maxChoices = 16;
const maxAnswers = 128;

/**
 * Characters that one token may stand for on average. No language comes near; without a bound the engine would turn
 * megabytes into tokens, while everybody waits, only to find that they are too many.
 */
const maxCharactersPerToken = 16;

type Base = Pick<Serving['base'], 'contextLength' | 'vocabSize' | 'room'>;

/** What a prompt has to fit; anything, until the base model is loaded for the first time. */
const roomOf = ({ contextLength, room }: Base): PromptRoom => {
  if (room !== undefined) return room;
  return { tokens: contextLength > 0 ? contextLength : Number.MAX_SAFE_INTEGER, because: '', more: '' };
};

const tooLong = (what: string, room: PromptRoom): never => {
  throw promptTooLong(`the prompt has ${what}`, room);
};

const checkedText = (texts: readonly string[], room: PromptRoom): void => {
  const characters = texts.reduce((sum, text) => sum + text.length, 0);
  if (characters > room.tokens * maxCharactersPerToken) tooLong(`${characters} characters`, room);
};

/** A text has as many tokens at least as its bytes need. A conversation is not such a text: its template may leave some out. */
const checkedBytes = (text: string, room: PromptRoom): void => {
  if (room.maxTokenBytes === undefined) return;
  const least = Math.ceil(Buffer.byteLength(text) / room.maxTokenBytes);
  // One more for the answer.
  if (least >= room.tokens) tooLong(`at least ${least} tokens`, room);
};

/** @throws REQUEST_INVALID */
const checkedCount = (prompts: number, choices: number): void => {
  if (prompts * choices <= maxAnswers) return;
  const each = choices === 1 ? '' : ` with n ${choices}`;
  refuse(`prompt is a list of ${prompts} prompts${each}, at most ${maxAnswers} answers are given`);
};

const checkedPrompt = (prompt: Prompt, base: Base): Prompt => {
  const room = roomOf(base);
  if (prompt.kind === 'text') {
    checkedBytes(prompt.text, room);
    checkedText([prompt.text], room);
    return prompt.text === '' ? refuse('the prompt is empty') : prompt;
  }
  if (prompt.kind === 'chat') {
    // A chat template gives every message a token at least.
    if (prompt.messages.length > room.tokens) tooLong(`${prompt.messages.length} messages`, room);
    checkedText(chatTexts(prompt), room);
    return prompt.messages.length === 0 ? refuse('messages is empty') : prompt;
  }
  if (prompt.ids.length === 0) refuse('the prompt is empty');
  if (prompt.ids.length > room.tokens) tooLong(`${prompt.ids.length} tokens`, room);
  const bad = outside(prompt.ids, base.vocabSize);
  return bad === undefined ? prompt : refuse(`token id ${bad} is not in the vocabulary of ${base.vocabSize}`);
};

/** One of a list is named. */
const checkedPrompts = (prompts: readonly Prompt[], base: Base): readonly Prompt[] =>
  prompts.map((prompt, index) => {
    try {
      return checkedPrompt(prompt, base);
    } catch (error) {
      throw prompts.length === 1 ? error : aboutPrompt(error, index);
    }
  });

const checkedStops = (stop: readonly string[]): readonly string[] => {
  const stops = stop.filter((s) => s !== '');
  if (stops.length > stopLimits.count)
    refuse(`stop has ${stops.length} strings, at most ${stopLimits.count} are allowed`);
  if (stops.some((s) => s.length > stopLimits.length))
    refuse(`a stop string has more than ${stopLimits.length} characters`);
  // It would cut a character in two.
  if (stops.some((s) => !s.isWellFormed())) refuse('a stop string has half of a surrogate pair');
  return stops;
};

const checkedWords = (words: readonly string[]): readonly string[] => {
  const { count, length, characters } = wordLimits;
  if (words.length > count) refuse(`bad_words has ${words.length} words, at most ${count} are allowed`);
  if (words.some((word) => word.length > length))
    refuse(`a word of bad_words has more than ${length} characters`);
  const sum = words.reduce((so, word) => so + word.length, 0);
  if (sum > characters) refuse(`bad_words has ${sum} characters, at most ${characters} are allowed`);
  if (words.some((word) => word.trimStart() === '')) refuse('a word of bad_words is empty');
  if (words.some((word) => !word.isWellFormed())) refuse('a word of bad_words has half of a surrogate pair');
  return words;
};

/** Tokens that come before the answer may end. `unasked`: what it has at most where nobody named a number. */
const checkedLeast = (
  minTokens: number,
  { maxTokens, unasked }: { readonly maxTokens: number | undefined; readonly unasked: number },
): number => {
  const least = within('min_tokens', minTokens, { min: 0, max: Number.MAX_SAFE_INTEGER, whole: true });
  if (least <= (maxTokens ?? unasked)) return least;
  return maxTokens === undefined
    ? refuse(
        `min_tokens is ${least}, and without max_tokens an answer has at most ${unasked} tokens; send max_tokens of at least min_tokens, where the model has room for it`,
      )
    : refuse(`min_tokens is ${least}, it must be at most max_tokens, which is ${maxTokens}`);
};

const checkedStopTokens = (
  ids: readonly number[],
  { vocabSize }: Pick<Serving['base'], 'vocabSize'>,
): readonly number[] => {
  if (ids.length > stopLimits.tokens)
    refuse(`stop_token_ids has ${ids.length} tokens, at most ${stopLimits.tokens} are allowed`);
  const bad = outside(ids, vocabSize);
  return bad === undefined
    ? ids
    : refuse(`stop_token_ids: token id ${bad} is not in the vocabulary of ${vocabSize}`);
};

/**
 * A checked request.
 * @throws REQUEST_INVALID that names the field by the name that all protocols have in common; PROMPT_TOO_LONG when it is
 * plain before anything is turned into tokens
 */
export const generateRequest = (
  prompt: Prompt,
  options: Options,
  defaults: OptionDefaults,
  base: Base,
): GenerateRequest => {
  // The context length is 0 until the base model is loaded for the first time.
  const context = base.contextLength > 0 ? base.contextLength : Number.MAX_SAFE_INTEGER;
  const unasked = Math.min(defaults.maxTokens, base.room?.answerTokens ?? Infinity, context);
  const { maxTokens = unasked, stopTokenIds = [], structure, marked, morePrompts = [] } = options;
  const logprobs =
    options.logprobs === undefined
      ? undefined
      : within('logprobs', options.logprobs, { min: 0, max: maxLogprobs, whole: true });
  const stopTokens = checkedStopTokens(stopTokenIds, base);
  const words = checkedWords(options.badWords ?? []);
  const choices = within('n', options.choices ?? 1, { min: 1, max: maxChoices, whole: true });
  checkedCount(1 + morePrompts.length, choices);
  const [first = prompt, ...more] = checkedPrompts([prompt, ...morePrompts], base);
  const most = within('max_tokens', maxTokens, { min: 1, max: context, whole: true });
  const least = checkedLeast(options.minTokens ?? 0, { maxTokens: options.maxTokens, unasked });
  return {
    prompt: first,
    ...(more.length === 0 ? {} : { morePrompts: more }),
    maxTokens: most,
    // Who names no number gets what there is room for; who names one is told when there is not.
    ...(options.maxTokens === undefined ? { fitContext: true } : {}),
    sampling: samplingOf(options, defaults.temperature, base.vocabSize),
    stop: checkedStops(options.stop ?? []),
    ...(stopTokens.length === 0 ? {} : { stopTokenIds: stopTokens }),
    ...(least === 0 ? {} : { minTokens: least }),
    ...(options.ignoreEos === true ? { ignoreEos: true } : {}),
    ...(words.length === 0 ? {} : { badWords: words }),
    ...(structure === undefined ? {} : { structure }),
    ...(marked === true ? { marked } : {}),
    ...(choices === 1 ? {} : { choices }),
    ...(logprobs === undefined ? {} : { logprobs }),
    ...(options.echo === true
      ? {
          echo: {
            maxTokens: Math.floor(maxEchoed / (1 + (logprobs ?? 0)) / answersTo({ choices, morePrompts })),
          },
        }
      : {}),
  };
};
