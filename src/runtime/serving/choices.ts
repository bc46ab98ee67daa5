import { AdaptletError, errorCodeOf } from '../../errors/adaptlet-error.ts';
import type { GenerateEvent, Prompt } from '../engine/engine.ts';
import type { GenerateRequest, GenerationEvent } from './serving.ts';

const maxSeed = Number.MAX_SAFE_INTEGER;

/** After the largest seed comes 0. */
const seedAfter = (seed: number, steps: number): number =>
  seed > maxSeed - steps ? seed - maxSeed + steps - 1 : seed + steps;

/** All prompts of a request, in their order. */
export const promptsOf = ({
  prompt,
  morePrompts = [],
}: Pick<GenerateRequest, 'prompt' | 'morePrompts'>): readonly Prompt[] => [prompt, ...morePrompts];

/** Answers to a request: to all of its prompts. */
export const answersTo = ({
  choices = 1,
  morePrompts = [],
}: Pick<GenerateRequest, 'choices' | 'morePrompts'>): number => choices * (1 + morePrompts.length);

/** Place of the prompt that an answer is to. */
export const placeOf = ({ choices = 1 }: Pick<GenerateRequest, 'choices'>, choice: number): number =>
  Math.floor(choice / choices);

/** What the engine knows one of the answers to a request by; 0 is the first. */
export const idOf = (request: string, choice: number): string =>
  choice === 0 ? request : `${request}-${choice}`;

/** What one of the answers to a request is asked with; 0 is the first. */
export const choiceOf = (
  several: GenerateRequest,
  choice: number,
): Omit<GenerateRequest, 'choices' | 'morePrompts'> => {
  const { choices = 1, morePrompts: _, ...request } = several;
  const { sampling } = request;
  const prompt = promptsOf(several)[placeOf(several, choice)] ?? request.prompt;
  // As if each prompt were asked by itself.
  const steps = choice % choices;
  if (steps === 0 || sampling.seed === undefined) return { ...request, prompt };
  return { ...request, prompt, sampling: { ...sampling, seed: seedAfter(sampling.seed, steps) } };
};

/** Prompts of which none of these answers is one. */
export const promptsWithout = (request: GenerateRequest, answers: ReadonlySet<number>): readonly Prompt[] => {
  const answered = new Set([...answers].map((choice) => placeOf(request, choice)));
  return promptsOf(request).filter((_, index) => !answered.has(index));
};

/** An error about a prompt of a list, with its place there. */
export const aboutPrompt = (error: unknown, index: number): unknown => {
  if (!(error instanceof AdaptletError)) return error;
  const { code, what, advice } = error;
  const param = `prompt.${index}`;
  return new AdaptletError(code, `${what} (${param})`, { advice, param, cause: error });
};

/** Answers to a prompt of a list: where the engine finds it too long, the error says which one it is. */
export const ofPrompt = (
  steps: AsyncIterator<GenerateEvent>,
  index: number,
): AsyncIterator<GenerateEvent> => ({
  next: async () => {
    try {
      return await steps.next();
    } catch (error) {
      throw errorCodeOf(error) === 'PROMPT_TOO_LONG' ? aboutPrompt(error, index) : error;
    }
  },
  return: async () => (await steps.return?.()) ?? { done: true, value: undefined },
});

/** An iterator whose first step was made already. */
export const resumed = <T>(first: IteratorResult<T>, rest: AsyncIterator<T>): AsyncIterator<T> => {
  let isFirst = true;
  return {
    next: async () => {
      if (!isFirst) return await rest.next();
      isFirst = false;
      return first;
    },
  };
};

/** An iterator of which each step is told, also where nobody takes it further. */
export const heard = <T>(steps: AsyncIterator<T>, came: (value: T) => void): AsyncIterator<T> => ({
  next: async () => {
    const next = await steps.next();
    if (next.done !== true) came(next.value);
    return next;
  },
});

type Came =
  | {
      readonly source: AsyncIterator<GenerateEvent>;
      readonly choice: number;
      readonly result: IteratorResult<GenerateEvent>;
    }
  | { readonly error: unknown };

/**
 * Events of several answers as they come. Of each answer one event at most is there that nobody took yet: a slow reader slows
 * all of them, and an answer that waits for its turn keeps no other one waiting. It does not close the sources.
 * @throws the first error of any of them
 */
export async function* asTheyCome(
  sources: readonly AsyncIterator<GenerateEvent>[],
): AsyncGenerator<GenerationEvent, void, undefined> {
  const came: Came[] = [];
  let wake: (() => void) | undefined;
  const tell = (one: Came): void => {
    came.push(one);
    wake?.();
  };
  const ask = (source: AsyncIterator<GenerateEvent>, choice: number): void => {
    source.next().then(
      (result) => tell({ source, choice, result }),
      (error: unknown) => tell({ error }),
    );
  };
  for (const [choice, source] of sources.entries()) ask(source, choice);
  let open = sources.length;
  while (open > 0) {
    const one = came.shift();
    if (one === undefined) {
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
      continue;
    }
    if ('error' in one) throw one.error;
    const { source, choice, result } = one;
    if (result.done === true) {
      open -= 1;
      continue;
    }
    yield { ...result.value, choice };
    ask(source, choice);
  }
}
