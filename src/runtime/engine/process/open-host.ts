import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { EncoderHost, type EncoderHostOptions } from '../encode/encode-host.ts';
import { openEncoderModel } from '../encode/encode-model.ts';
import type { PoolingOptions } from '../encode/pooling-config.ts';
import { Host, type HostOptions } from '../generate/generate-host.ts';
import { type BaseModelOptions, openBaseModel } from '../generate/generate-model.ts';
import type { EngineHost } from '../host/engine-host.ts';
import { InferHost } from '../infer/infer-host.ts';
import { openInferModel } from '../infer/infer-model.ts';
import { openModelFolder } from '../model/folder.ts';
import { readGraph } from '../onnx/graph.ts';
import { taskOf } from './task-of.ts';

/** What has a default. */
type Tuning = Pick<HostOptions, 'kvBudgetBytes' | 'batchBudgetBytes' | 'maxDecodeStallMs'> &
  Pick<EncoderHostOptions, 'maxBatch' | 'maxBatchDelayMs'>;

export type OpenHostOptions = BaseModelOptions &
  Omit<HostOptions & EncoderHostOptions, keyof Tuning> &
  Partial<Tuning> &
  PoolingOptions;

const defaults: Tuning = {
  kvBudgetBytes: 512 << 20,
  batchBudgetBytes: 256 << 20,
  maxDecodeStallMs: 100,
  maxBatch: 16,
  maxBatchDelayMs: 0,
};

/**
 * Opens the base model in a folder and what answers with it. Errors: MODEL_FILE_MISSING, MODEL_INVALID,
 * MODEL_UNSUPPORTED, MODEL_WIRING_BROKEN, PROVIDER_NOT_AVAILABLE.
 */
export const openHost = async (given: OpenHostOptions): Promise<EngineHost> => {
  const options = { ...defaults, ...given };
  const { modelDir } = options;
  const path = join(modelDir, 'model.onnx');
  // A folder without a graph is refused by whoever looks for the other files as well.
  const graph = existsSync(path) ? readGraph(readFileSync(path)) : undefined;
  const task = graph === undefined ? 'generate' : taskOf(modelDir, graph);
  if (graph === undefined || task === 'generate') return new Host(await openBaseModel(options), options);
  if (task === 'infer') return new InferHost(await openInferModel(modelDir, graph, options), options);
  return new EncoderHost(await openEncoderModel(openModelFolder(modelDir), graph, options), options);
};
