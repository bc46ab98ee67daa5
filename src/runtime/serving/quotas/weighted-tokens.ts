import type { GenerateEvent, Prompt } from '../../engine/engine.ts';
import { chatTexts } from '../../engine/model/chat-input.ts';

/** One of an answer costs as much as two of a prompt, as where places are shared out. */
const answerTokenCost = 2;
/** About as many are a token. */
const charactersPerToken = 4;

/** About how many tokens a prompt has, where the engine did not say it. */
export const aboutTokens = (prompt: Prompt): number => {
  switch (prompt.kind) {
    case 'ids':
      return prompt.ids.length;
    case 'text':
      return Math.ceil(prompt.text.length / charactersPerToken);
    case 'chat':
      return Math.ceil(chatTexts(prompt).reduce((sum, text) => sum + text.length, 0) / charactersPerToken);
  }
};

/** Weighted tokens of what came of an answer: what was computed, so not what was there already. The prompt comes with the first token. */
export const weightedTokens = (event: GenerateEvent): number =>
  event.kind === 'token' ? answerTokenCost * event.ids.length + (event.computedTokens ?? 0) : 0;
