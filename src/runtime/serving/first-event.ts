import { errorCodeOf } from '../../errors/adaptlet-error.ts';
import type { GenerateEvent } from '../engine/engine.ts';
import type { RequestWatch } from './request-watch.ts';

/** An engine that ended under a request has worked for it. */
export const firstOf = async (
  events: AsyncIterator<GenerateEvent>,
  engineEnded: () => void,
): Promise<IteratorResult<GenerateEvent>> => {
  try {
    return await events.next();
  } catch (error) {
    if (errorCodeOf(error) === 'ENGINE_DOWN') engineEnded();
    throw error;
  }
};

/** The answer has begun, unless it was withdrawn in the same moment: then the engine stops it. */
export const answerBegan = async (
  first: IteratorResult<GenerateEvent>,
  events: AsyncIterator<GenerateEvent>,
  watch: RequestWatch,
): Promise<void> => {
  try {
    watch.answerBegan(
      first.done !== true && first.value.kind === 'token' ? first.value.firstTokenMs : undefined,
    );
  } catch (error) {
    await events.return?.();
    throw error;
  }
};
