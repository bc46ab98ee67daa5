import { catalogue } from '../errors/catalogue.ts';
import { type EngineClient, type EngineOptions, startEngine } from './engine/client.ts';

/**
 * Starts the engine and waits until the base model is loaded. A process that merely died is waited for, it is started
 * again; a base model that cannot be used is an error: it would be the same at the next try.
 * Errors: those of the base model.
 */
export const startReadyEngine = async (options: EngineOptions): Promise<EngineClient> => {
  const engine = startEngine(options);
  const started = Promise.withResolvers<void>();
  const stopListening = engine.onState((state) => {
    const { failure } = engine;
    if (state === 'ready') started.resolve();
    else if (failure !== undefined && catalogue[failure.code].retry === 'AfterChange')
      started.reject(failure);
  });
  try {
    await started.promise;
    return engine;
  } catch (error) {
    await engine.close();
    throw error;
  } finally {
    stopListening();
  }
};
