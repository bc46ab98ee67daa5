import type { FinishReason } from '../../engine/engine.ts';
import type { ServedBy } from '../../routing/request.ts';
import type { ModelCard } from '../../serving/serving.ts';
import type { Answer } from '../exchange.ts';
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

/** How one kind of completion is written: as a whole, and in chunks. */
export type Shape = {
  readonly method: string;
  readonly idPrefix: string;
  /** `scored`: its tokens with their log probabilities, where the client asked for them. */
  readonly whole: (head: Head, answer: Answer, scored: Scored | undefined) => object;
  /** Before the first text; undefined: nothing. */
  readonly opening: (head: Head) => object | undefined;
  readonly chunk: (head: Head, text: string, scored: Scored | undefined) => object;
  readonly closing: (head: Head, finishReason: FinishReason) => object;
  /** The last chunk, when the client asked for it. */
  readonly usage: (head: Head, usage: Usage) => object;
};

export const usageOf = (done: Answer['done']): Usage => ({
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

const textChoice = (text: string, finish: FinishReason | null, scored?: Scored) => [
  {
    index: 0,
    text,
    logprobs: scored === undefined ? null : completionLogprobs(scored),
    finish_reason: finish,
  },
];

export const completionShape: Shape = {
  method: '/v1/completions',
  idPrefix: 'cmpl-',
  whole: (head, answer, scored) => ({
    ...headOf(head, 'text_completion'),
    choices: textChoice(answer.text, answer.done.finishReason, scored),
    usage: usageOf(answer.done),
  }),
  opening: () => undefined,
  chunk: (head, text, scored) => ({
    ...headOf(head, 'text_completion'),
    choices: textChoice(text, null, scored),
  }),
  closing: (head, finish) => ({ ...headOf(head, 'text_completion'), choices: textChoice('', finish) }),
  usage: (head, usage) => ({ ...headOf(head, 'text_completion'), choices: [], usage }),
};

const delta = (content: object, finish: FinishReason | null, scored?: Scored) => [
  {
    index: 0,
    delta: content,
    logprobs: scored === undefined ? null : chatLogprobs(scored),
    finish_reason: finish,
  },
];

export const chatShape: Shape = {
  method: '/v1/chat/completions',
  idPrefix: 'chatcmpl-',
  whole: (head, answer, scored) => ({
    ...headOf(head, 'chat.completion'),
    choices: [
      {
        index: 0,
        message: { role: 'assistant', content: answer.text, refusal: null },
        logprobs: scored === undefined ? null : chatLogprobs(scored),
        finish_reason: answer.done.finishReason,
      },
    ],
    usage: usageOf(answer.done),
  }),
  opening: (head) => ({
    ...headOf(head, 'chat.completion.chunk'),
    choices: delta({ role: 'assistant', content: '' }, null),
  }),
  chunk: (head, content, scored) => ({
    ...headOf(head, 'chat.completion.chunk'),
    choices: delta({ content }, null, scored),
  }),
  closing: (head, finish) => ({ ...headOf(head, 'chat.completion.chunk'), choices: delta({}, finish) }),
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
