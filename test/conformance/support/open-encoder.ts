import { EncodeHost, type EncodeHostOptions } from '../../../src/runtime/engine/encode/encode-host.ts';
import {
  type EncodeModel,
  type EncodeModelOptions,
  openEncodeModel,
} from '../../../src/runtime/engine/encode/encode-model.ts';
import { readModelGraph } from '../../../src/runtime/engine/model/folder.ts';
import { systemClock } from '../../../src/time/clock.ts';
import { operator } from './operator.ts';

export type OpenEncoder = {
  readonly model: EncodeModel;
  readonly host: EncodeHost;
  readonly warnings: readonly string[];
};

/** Opens an encoder in this process, as the engine process does. */
export const openEncoder = async (
  modelDir: string,
  cacheDir: string,
  options: Partial<EncodeHostOptions & EncodeModelOptions> = {},
): Promise<OpenEncoder> => {
  const warnings: string[] = [];
  const model = await openEncodeModel(modelDir, readModelGraph(modelDir), {
    cacheDir,
    threads: 1,
    clock: systemClock,
    warn: (message) => warnings.push(message),
    doing: () => undefined,
    signal: new AbortController().signal,
    operator,
    ...options,
  });
  const host = new EncodeHost(model, {
    adapterBudgetBytes: 8 << 20,
    maxConcurrent: 8,
    maxQueue: 200,
    maxBatch: 16,
    maxBatchDelayMs: 0,
    clock: systemClock,
    ...options,
  });
  return { model, host, warnings };
};
