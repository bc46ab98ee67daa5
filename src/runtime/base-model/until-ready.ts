import { catalogue } from '../../errors/catalogue.ts';
import type { EngineClient } from '../engine/client/client.ts';

/**
 * Waits until the base model is loaded. A process that merely died is waited for, it is started again; a base model that
 * cannot be used is an error: it would be the same at the next try.
 * @throws those of the base model
 */
export const untilReady = async (engine: EngineClient): Promise<void> => {
  const started = Promise.withResolvers<void>();
  const stopListening = engine.onState((state) => {
    const { failure } = engine;
    if (state === 'ready') started.resolve();
    else if (failure !== undefined && catalogue[failure.code].retry === 'AfterChange')
      started.reject(failure);
  });
  try {
    await started.promise;
  } finally {
    stopListening();
  }
};
