import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { EncoderHost, type EncoderHostOptions } from '../../../src/runtime/engine/encode/encode-host.ts';
import {
  type EncoderModel,
  type EncoderModelOptions,
  openEncoderModel,
} from '../../../src/runtime/engine/encode/encode-model.ts';
import { openModelFolder } from '../../../src/runtime/engine/model/folder.ts';
import { readGraph } from '../../../src/runtime/engine/onnx/graph.ts';
import { systemClock } from '../../../src/time/clock.ts';

export type OpenEncoder = {
  readonly model: EncoderModel;
  readonly host: EncoderHost;
  readonly warnings: readonly string[];
};

/** Opens an encoder in this process, as the engine process does. */
export const openEncoder = async (
  modelDir: string,
  cacheDir: string,
  options: Partial<EncoderHostOptions & EncoderModelOptions> = {},
): Promise<OpenEncoder> => {
  const warnings: string[] = [];
  const model = await openEncoderModel(
    openModelFolder(modelDir),
    readGraph(readFileSync(join(modelDir, 'model.onnx'))),
    {
      cacheDir,
      threads: 1,
      clock: systemClock,
      warn: (message) => warnings.push(message),
      signal: new AbortController().signal,
      ...options,
    },
  );
  const host = new EncoderHost(model, {
    adapterBudgetBytes: 8 << 20,
    maxConcurrent: 8,
    maxQueue: 200,
    maxBatch: 16,
    maxBatchDelayMs: 0,
    batchBudgetBytes: 16 << 20,
    clock: systemClock,
    ...options,
  });
  return { model, host, warnings };
};
