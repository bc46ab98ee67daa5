import type { FinishReason } from '../../engine/engine.ts';
import type { ServedBy } from '../../routing/request.ts';
import type { ModelCard } from '../../serving/serving.ts';
import type { AnswerPart } from '../chat/answer-reader.ts';
import type { TokenCounts } from '../exchange.ts';
import { chatLogprobs, completionLogprobs, type Scored } from './logprobs.ts';

export type Usage = {
  readonly prompt_tokens: number;
  readonly completion_tokens: number;
  readonly total_tokens: number;
  /** Of the prompt, where keys and values of other requests were used for it. */
  readonly prompt_tokens_details?: { readonly cached_tokens: number };
};

/** What every object of one answer says of itself. */
export type Head = {
  readonly id: string;
  /** Unix time in seconds. */
  readonly created: number;
  readonly model: string;
  readonly served: ServedBy;
};

/** Why an answer ended, as OpenAI says it. */
type Finish = FinishReason | 'tool_calls';

/** A whole answer in its parts. `scored`: its tokens with their log probabilities, where the client asked for them. */
export type WholeChoice = {
  readonly parts: readonly AnswerPart[];
  readonly finish: Finish;
  readonly scored: Scored | undefined;
};

/** How one kind of completion is written: as a whole, and in chunks. `choice`: the number of an answer, from 0. */
export type Shape = {
  readonly method: string;
  readonly idPrefix: string;
  /** All answers in their order. */
  readonly whole: (head: Head, choices: readonly WholeChoice[], usage: Usage) => object;
  /** Before the first text of an answer; undefined: nothing. */
  readonly opening: (head: Head, choice: number) => object | undefined;
  readonly chunk: (head: Head, choice: number, part: AnswerPart, scored: Scored | undefined) => object;
  readonly closing: (head: Head, choice: number, finish: Finish) => object;
  /** The last chunk, when the client asked for it. */
  readonly usage: (head: Head, usage: Usage) => object;
};

export const usageOf = (done: TokenCounts): Usage => ({
  prompt_tokens: done.promptTokens,
  completion_tokens: done.completionTokens,
  total_tokens: done.promptTokens + done.completionTokens,
  ...(done.cachedTokens === undefined || done.cachedTokens === 0
    ? {}
    : { prompt_tokens_details: { cached_tokens: done.cachedTokens } }),
});

/** `system_fingerprint` is what OpenAI calls the configuration that an answer came from: here the digest. */
const headOf = ({ id, created, model, served }: Head, object: string) => ({
  id,
  object,
  created,
  model,
  system_fingerprint: served.digest,
});

const textOf = (parts: readonly AnswerPart[], kind: Exclude<AnswerPart['kind'], 'call'>): string =>
  parts.map((part) => (part.kind === kind ? part.text : '')).join('');

const textChoice = (index: number, text: string, finish: Finish | null, scored?: Scored) => ({
  index,
  text,
  logprobs: scored === undefined ? null : completionLogprobs(scored),
  finish_reason: finish,
});

export const completionShape: Shape = {
  method: '/v1/completions',
  idPrefix: 'cmpl-',
  whole: (head, choices, usage) => ({
    ...headOf(head, 'text_completion'),
    choices: choices.map(({ parts, finish, scored }, index) =>
      textChoice(index, textOf(parts, 'content'), finish, scored),
    ),
    usage,
  }),
  opening: () => undefined,
  chunk: (head, choice, part, scored) => ({
    ...headOf(head, 'text_completion'),
    choices: [textChoice(choice, textOf([part], 'content'), null, scored)],
  }),
  closing: (head, choice, finish) => ({
    ...headOf(head, 'text_completion'),
    choices: [textChoice(choice, '', finish)],
  }),
  usage: (head, usage) => ({ ...headOf(head, 'text_completion'), choices: [], usage }),
};

type CallPart = Extract<AnswerPart, { kind: 'call' }>;

const callOf = ({ id, name }: CallPart, written: string) => ({
  id,
  type: 'function',
  function: { name, arguments: written },
});

const callsOf = (parts: readonly AnswerPart[]) =>
  parts.flatMap((part) => {
    if (part.kind !== 'call') return [];
    const own = parts.filter((one) => one.kind === 'arguments' && one.index === part.index);
    return [callOf(part, textOf(own, 'arguments'))];
  });

/** Text is null where there are calls alone, as OpenAI has it. */
const messageOf = (parts: readonly AnswerPart[]) => {
  const [content, reasoning] = [textOf(parts, 'content'), textOf(parts, 'reasoning')];
  const calls = callsOf(parts);
  return {
    role: 'assistant',
    content: content === '' && calls.length > 0 ? null : content,
    refusal: null,
    ...(reasoning === '' ? {} : { reasoning_content: reasoning }),
    ...(calls.length === 0 ? {} : { tool_calls: calls }),
  };
};

const deltaOf = (part: AnswerPart): object => {
  switch (part.kind) {
    case 'call':
      return { tool_calls: [{ index: part.index, ...callOf(part, '') }] };
    case 'arguments':
      return { tool_calls: [{ index: part.index, function: { arguments: part.text } }] };
    case 'content':
      return { content: part.text };
    case 'reasoning':
      return { reasoning_content: part.text };
  }
};

const delta = (index: number, content: object, finish: Finish | null, scored?: Scored) => [
  {
    index,
    delta: content,
    logprobs: scored === undefined ? null : chatLogprobs(scored),
    finish_reason: finish,
  },
];

export const chatShape: Shape = {
  method: '/v1/chat/completions',
  idPrefix: 'chatcmpl-',
  whole: (head, choices, usage) => ({
    ...headOf(head, 'chat.completion'),
    choices: choices.map(({ parts, finish, scored }, index) => ({
      index,
      message: messageOf(parts),
      logprobs: scored === undefined ? null : chatLogprobs(scored),
      finish_reason: finish,
    })),
    usage,
  }),
  opening: (head, choice) => ({
    ...headOf(head, 'chat.completion.chunk'),
    choices: delta(choice, { role: 'assistant', content: '' }, null),
  }),
  chunk: (head, choice, part, scored) => ({
    ...headOf(head, 'chat.completion.chunk'),
    choices: delta(choice, deltaOf(part), null, scored),
  }),
  closing: (head, choice, finish) => ({
    ...headOf(head, 'chat.completion.chunk'),
    choices: delta(choice, {}, finish),
  }),
  usage: (head, usage) => ({ ...headOf(head, 'chat.completion.chunk'), choices: [], usage }),
};

const seconds = (time: string): number => {
  const ms = Date.parse(time);
  return Number.isFinite(ms) ? Math.floor(ms / 1000) : 0;
};

/** OpenAI's model object, with vLLM's `root` and `parent` and what Adaptlet knows of it. */
export const modelObject = (card: ModelCard): object => ({
  id: card.id,
  object: 'model',
  created: seconds(card.createdAt),
  owned_by: 'adaptlet',
  root: card.digest === '' ? null : card.digest,
  parent: card.parent === '' ? null : card.parent,
  kind: card.kind,
  ready: card.ready,
  reason: card.reason,
});
