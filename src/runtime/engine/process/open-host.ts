import { existsSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { availableMemory } from '../../machine/available-memory.ts';
import { EncodeHost, type EncodeHostOptions } from '../encode/encode-host.ts';
import { type EncodeModelOptions, openEncodeModel } from '../encode/encode-model.ts';
import type { EngineInfo } from '../engine.ts';
import { GenerateHost, type GenerateHostOptions } from '../generate/generate-host.ts';
import { openGenerateModel } from '../generate/generate-model.ts';
import type { EngineHost } from '../host/engine-host.ts';
import { InferHost } from '../infer/infer-host.ts';
import { openInferModel } from '../infer/infer-model.ts';
import { readModelGraph } from '../model/folder.ts';
import { findGraph } from '../model/graph-file.ts';
import type { Graph } from '../onnx/graph.ts';
import { findOperator } from '../ort/operator.ts';
import { cpuProvider } from '../ort/providers.ts';
import type { KvWish } from '../schedule/kv-budget.ts';
import { inputIds, isEncoder } from '../session/encoder-graph.ts';
import { usualStructureBytes } from '../structure/structures.ts';
import type { Task } from '../tasks.ts';

type HostsOptions = GenerateHostOptions & EncodeHostOptions;

/** What has a default. */
type Tuning = Pick<
  HostsOptions,
  'prefixCache' | 'speculation' | 'maxDecodeStallMs' | 'maxBatch' | 'maxBatchDelayMs'
>;

export type OpenHostOptions = { readonly modelDir: string } & EncodeModelOptions &
  Omit<HostsOptions, keyof Tuning | 'kvBudgetBytes'> &
  Partial<Tuning> & {
    /** Absent: as the memory allows. */
    readonly kvBudgetBytes?: number | undefined;
    /** Absent: auto. */
    readonly kvPrecision?: KvWish['precision'];
    /** RAM that other processes come to take. Absent: none. */
    readonly besideBytes?: number;
    /** See {@link findOperator}. Absent: auto. */
    readonly loraOperator?: string | undefined;
  };

const defaults: Tuning = {
  prefixCache: true,
  speculation: true,
  maxDecodeStallMs: 100,
  maxBatch: 16,
  maxBatchDelayMs: 0,
};

const hasTokenizer = (folder: string): boolean =>
  [folder, dirname(folder)].some((place) => existsSync(join(place, 'tokenizer.json')));

/**
 * What the base model does whose graph lies in a folder. Tensors: its graph takes no `input_ids`, and no tokenizer lies beside it. Embed: it gives
 * states of tokens or of a text. Everything else generates, or is refused when it is opened.
 */
export const taskOf = (folder: string, graph: Pick<Graph, 'inputs' | 'outputs'>): Task => {
  if (!graph.inputs.includes(inputIds) && !hasTokenizer(resolve(folder))) return 'infer';
  return isEncoder(graph) ? 'embed' : 'generate';
};

/** What is wanted of keys and values: what adapters and other processes may come to take is left free. */
export const kvWishOf = ({
  kvBudgetBytes: budgetBytes,
  kvPrecision: precision = 'auto',
  adapterBudgetBytes,
  structureBudgetBytes = usualStructureBytes,
  besideBytes: others = 0,
  maxConcurrent: requests,
}: Pick<
  OpenHostOptions & Tuning,
  | 'kvBudgetBytes'
  | 'kvPrecision'
  | 'adapterBudgetBytes'
  | 'structureBudgetBytes'
  | 'besideBytes'
  | 'maxConcurrent'
>): KvWish => {
  const besideBytes = adapterBudgetBytes + structureBudgetBytes + others;
  return { budgetBytes, precision, available: availableMemory(), besideBytes, requests };
};

/**
 * What adapters lack where they come in the portable way though the native operator, which is for the CPU, could take them, and how it is
 * had; undefined: nothing. `found`: the library is there, and the graph does not open with it.
 */
export const portableText = (
  { loraOperator, executionProvider }: Pick<EngineInfo, 'loraOperator' | 'executionProvider'>,
  { wish, found }: { readonly wish: string; readonly found: boolean },
): string | undefined => {
  if (loraOperator !== '' || executionProvider !== cpuProvider) return undefined;
  const missing =
    'there is no native operator, which `make native` builds where a C compiler is, and images have';
  const why =
    wish === 'off'
      ? '--lora-operator is off'
      : found
        ? 'the graph does not open with the native operator'
        : missing;
  return `requests for different adapters do not share a step, and adapters are float32 in memory: ${why}`;
};

/**
 * Opens the base model in a folder and what answers with it.
 * @throws MODEL_FILE_MISSING, MODEL_INVALID, MODEL_UNSUPPORTED, MODEL_WIRING_BROKEN, PROVIDER_NOT_AVAILABLE
 */
export const openHost = async (given: OpenHostOptions): Promise<EngineHost> => {
  const { loraOperator: wish = 'auto' } = given;
  const operator = findOperator(wish, given.warn);
  const options = { ...defaults, operator, ...given };
  const sayWhatLacks = (info: EngineInfo): void => {
    const text = portableText(info, { wish, found: operator !== undefined });
    if (text !== undefined) given.warn(text);
  };
  const { modelDir, modelFile } = options;
  const path = findGraph(modelDir, modelFile);
  const graph = readModelGraph(modelDir, modelFile);
  switch (taskOf(dirname(path), graph)) {
    case 'generate': {
      const model = await openGenerateModel(modelDir, graph, { ...options, kv: kvWishOf(options) });
      sayWhatLacks(model.info);
      const { foreignAttention } = model.sessions;
      if (foreignAttention !== undefined)
        options.warn(
          `attention is ONNX Runtime's, by which guessed tokens and other requests of a step may change an answer at a near tie: ${foreignAttention}`,
        );
      return new GenerateHost(model, { ...options, kvBudgetBytes: model.kv.budgetBytes });
    }
    case 'embed': {
      const model = await openEncodeModel(modelDir, graph, options);
      sayWhatLacks(model.info);
      return new EncodeHost(model, options);
    }
    case 'infer':
      return new InferHost(await openInferModel(modelDir, graph, options), options);
  }
};
