import type { GenerateEvent, Prompt } from '../../engine/engine.ts';

/** One of an answer costs as much as two of a prompt, as where places are shared out. */
const answerTokenCost = 2;
/** About as many are a token. Used for prompts of answers that were given up only: others say how many tokens they had. */
const charactersPerToken = 4;

const estimateOf = (prompt: Prompt): number => {
  switch (prompt.kind) {
    case 'ids':
      return prompt.ids.length;
    case 'text':
      return Math.ceil(prompt.text.length / charactersPerToken);
    case 'chat':
      return Math.ceil(
        prompt.messages.reduce((sum, { content }) => sum + content.length, 0) / charactersPerToken,
      );
  }
};

/** Weighted tokens of the answer to a prompt, by its events: what was computed, so not what was there already. */
export const weightedTokens = (prompt: Prompt) => {
  let isKnown = false;
  return {
    of: (event: GenerateEvent): number => {
      if (event.kind === 'token') return answerTokenCost * event.ids.length;
      isKnown = true;
      return event.promptTokens - (event.cachedTokens ?? 0);
    },
    /** Once no more events come: of the prompt, where the last event did not come. */
    get rest(): number {
      return isKnown ? 0 : estimateOf(prompt);
    },
  };
};
