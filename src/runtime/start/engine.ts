import { join } from 'node:path';
import { wantedProviders } from '../config/device-providers.ts';
import type { EngineOptions } from '../engine/client/client.ts';
import { baseFolder } from './node-disk.ts';
import type { RuntimeParts } from './parts.ts';

/** The engine that the settings ask for, with the base model in a folder. `modelFile`: its graph, where it is named. */
export const engineOptions = (
  { settings, clock, logger }: RuntimeParts,
  { modelDir, modelFile }: Pick<EngineOptions, 'modelDir' | 'modelFile'>,
): EngineOptions => ({
  modelDir,
  modelFile,
  cacheDir: join(settings.dataDir, baseFolder),
  adapterBudgetBytes: settings.adapterMemory,
  threads: settings.threads,
  spin: settings.spin,
  executionProviders: wantedProviders(settings),
  requireProvider: settings.requireProvider,
  onnxRuntimeLibrary: settings.onnxRuntimeLibrary,
  maxConcurrent: settings.maxConcurrent,
  maxQueue: settings.maxQueue,
  kvBudgetBytes: settings.kvMemory === 'auto' ? undefined : settings.kvMemory,
  kvPrecision: settings.kvPrecision,
  structureBudgetBytes: settings.structureMemory,
  prefixCache: settings.prefixCache,
  loraOperator: settings.loraOperator,
  speculation: settings.speculation === 'auto',
  maxDecodeStallMs: settings.maxDecodeStall,
  maxBatch: settings.maxBatch,
  maxBatchDelayMs: settings.maxBatchDelay,
  ...(settings.pooling === undefined ? {} : { pooling: settings.pooling }),
  normalize: settings.normalize,
  stallTimeoutMs: settings.stallTimeout,
  clock,
  logger,
});
