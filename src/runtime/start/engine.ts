import { join } from 'node:path';
import { catalogue } from '../../errors/catalogue.ts';
import { providersFor } from '../config/device-providers.ts';
import type { EngineClient, EngineOptions } from '../engine/client/client.ts';
import type { RuntimeParts } from './parts.ts';

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

/** The engine that the settings ask for, with the base model in a folder. */
export const engineOptions = (
  { settings, clock, logger }: RuntimeParts,
  modelDir: string,
): EngineOptions => ({
  modelDir,
  cacheDir: join(settings.dataDir, 'base'),
  adapterBudgetBytes: settings.adapterMemory,
  threads: settings.threads,
  spin: settings.spin,
  executionProviders:
    settings.executionProviders.length > 0
      ? settings.executionProviders
      : providersFor(settings.deviceResources),
  requireProvider: settings.requireProvider,
  onnxRuntimeLibrary: settings.onnxRuntimeLibrary,
  maxConcurrent: settings.maxConcurrent,
  maxQueue: settings.maxQueue,
  kvBudgetBytes: settings.kvMemory,
  batchBudgetBytes: settings.batchMemory,
  maxDecodeStallMs: settings.maxDecodeStall,
  maxBatch: settings.maxBatch,
  maxBatchDelayMs: settings.maxBatchDelay,
  ...(settings.pooling === undefined ? {} : { pooling: settings.pooling }),
  normalize: settings.normalize,
  stallTimeoutMs: settings.stallTimeout,
  clock,
  logger,
});
