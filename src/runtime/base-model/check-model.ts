import { existsSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import type { Site } from '../compiled/compile-target.ts';
import { wantedProviders } from '../config/device-providers.ts';
import type { Settings } from '../config/settings.ts';
import { readPoolingConfig } from '../engine/encode/pooling-config.ts';
import { type ModelFolder, openModelFolder, readModelGraph } from '../engine/model/folder.ts';
import { refuseForeignDecoder, refuseForeignForm, servedForm } from '../engine/model/form.ts';
import type { GraphChoice } from '../engine/model/graph-file.ts';
import { type ModelSettings, readSettings } from '../engine/model/settings.ts';
import { openTextCodec } from '../engine/model/tokenizer.ts';
import { roundsActivations } from '../engine/onnx/exact-activations.ts';
import { familyOf } from '../engine/onnx/families.ts';
import { type Graph, readGraph, tensorsOf } from '../engine/onnx/graph.ts';
import { growthOfHalves } from '../engine/onnx/in-float32.ts';
import { sitesOf } from '../engine/onnx/inject.ts';
import { lengthUseOf } from '../engine/onnx/lengths.ts';
import { gatherLogitsRows } from '../engine/onnx/logits-rows.ts';
import { withMissingWindows } from '../engine/onnx/missing-windows.ts';
import { growthOfProducts } from '../engine/onnx/own-products.ts';
import { joinPositionTables } from '../engine/onnx/position-tables.ts';
import { cacheEntries } from '../engine/onnx/quantised-cache.ts';
import { rowsInPlace, writesInPlace } from '../engine/onnx/rows-in-place.ts';
import { checkSoftCapping } from '../engine/onnx/soft-capping.ts';
import { cpuProvider } from '../engine/ort/providers.ts';
import { elementTypeOf } from '../engine/ort/tensor.ts';
import { taskOf } from '../engine/process/open-host.ts';
import { limitsOf } from '../engine/proofs/limits.ts';
import { kvPlanOf } from '../engine/schedule/kv-budget.ts';
import { openOnFirst } from '../engine/session/choose-provider.ts';
import { embeddingOutput, readEncoderInputs, readEncoderOutputs } from '../engine/session/encoder-graph.ts';
import { type CacheShape, tokenBytes } from '../engine/session/kv-cache.ts';
import { rowTokens } from '../engine/session/kv-rows.ts';
import { positionIds, readStepInputs } from '../engine/session/step-inputs.ts';
import type { Task } from '../engine/tasks.ts';
import { availableMemory } from '../machine/available-memory.ts';
import { graphFactsOf } from './graph-facts.ts';
import { encoderBytesOf, type MemoryNeed, memoryNeedOf, type Wanted } from './memory-need.ts';
import { type Refusal, refusalOf } from './refusal.ts';

/** Where a model lies that is checked: a folder with all files but the weights, whose sizes are enough. */
export type CheckedPlace = {
  readonly folder: string;
  /** Its graph. @throws those of chooseGraph */
  readonly choose: () => GraphChoice;
  /** Bytes of a file with weights, by its path; undefined when there is none. */
  readonly weightBytes: (path: string) => Promise<number | undefined>;
};

export type CheckSettings = Pick<
  Settings,
  | 'kvMemory'
  | 'kvPrecision'
  | 'adapterMemory'
  | 'structureMemory'
  | 'classifierModel'
  | 'classifierMemory'
  | 'maxConcurrent'
  | 'executionProviders'
  | 'deviceResources'
  | 'requireProvider'
  | 'pooling'
>;

/** What a base model will do on this machine. What is not known because of a refusal is absent. */
export type ModelCheck = {
  /** The ONNX file that is taken, and why; and those that are not. */
  readonly graph?: GraphChoice;
  readonly task?: Task;
  readonly architecture?: string;
  readonly family?: string;
  readonly precision?: string;
  readonly parameters?: number;
  readonly contextLength?: number;
  readonly vocabSize?: number;
  /** Modules that an adapter may target, and how many linears of the graph they are. */
  readonly lora?: { readonly modules: readonly string[]; readonly sites: number };
  readonly executionProvider?: string;
  readonly memory?: MemoryNeed;
  /** Bytes of graph and weights. */
  readonly modelBytes?: number;
  readonly refusals: readonly Refusal[];
  readonly warnings: readonly string[];
};

type Found = { -readonly [K in keyof ModelCheck]: ModelCheck[K] } & {
  refusals: Refusal[];
  warnings: string[];
};

/** What a step throws is a refusal, and the steps after it go on with what there is. */
const attempting =
  (found: Found) =>
  <T>(work: () => T): T | undefined => {
    try {
      return work();
    } catch (error) {
      found.refusals.push(refusalOf(error));
      return undefined;
    }
  };

/** The kind of module without its layer, as target_modules of an adapter names it. */
const kindOf = ({ module }: Site): string =>
  module
    .replace(/^.*\.\d+\./, '')
    .split('.')
    .at(-1) ?? module;

const tensorsAsSession = (graph: Graph) => ({
  inputs: tensorsOf(graph, 'inputs').map(({ code, ...info }) => ({ ...info, type: elementTypeOf(code) })),
  outputs: tensorsOf(graph, 'outputs').map(({ code, ...info }) => ({ ...info, type: elementTypeOf(code) })),
});

/**
 * Says what a base model will do here, by its files alone: what the engine asks of them at load, without loading them. What
 * only a load can prove (that the optimised graph gives the same bits, that every LoRA input has an effect) is not proved.
 */
export const checkModel = async (
  place: CheckedPlace,
  settings: CheckSettings,
  wanted: Partial<Wanted> = {},
): Promise<ModelCheck> => {
  const found: Found = { refusals: [], warnings: [] };
  const attempt = attempting(found);
  const choice = attempt(place.choose);
  if (choice === undefined) return found;
  found.graph = choice;
  const path = join(resolve(place.folder), choice.file);
  const exported = attempt(() => readModelGraph(place.folder, choice.file));
  if (exported === undefined) return found;
  const task = taskOf(dirname(path), exported);
  const facts = graphFactsOf(exported);
  Object.assign(found, { task, precision: facts.precision, parameters: facts.parameters });
  found.modelBytes = facts.bytes + (await weightsOf(path, place, facts.weightFiles, found));
  const provider = await providerOf(settings, found);
  if (provider !== undefined) found.executionProvider = provider;
  const { linears, exact } = facts.quantised;
  if (exact > 0 && provider === cpuProvider)
    found.warnings.push(
      `${exact} of ${linears} linears in int4 and int8 have float32 activations, for which a token takes far longer on a CPU: export the model with accuracy_level=4, as ONNX Runtime GenAI's model builder does where nothing else is said`,
    );
  if (task === 'infer') return found;
  const graph = servedForm(exported, choice, (warning) => found.warnings.push(warning));
  const isForeign = attempt(() => refuseForm(task, graph, choice)) === undefined;
  const model = attempt(() => openModelFolder(place.folder, choice.file));
  if (model === undefined) return found;
  const config = attempt(() => readSettings(model));
  if (config === undefined) return found;
  const { modelType, contextLength, vocabSize } = config;
  Object.assign(found, { architecture: modelType, contextLength, vocabSize });
  attempt(() => openTextCodec(model, vocabSize));
  const family = attempt(() => familyOf(modelType));
  const sites = family === undefined || isForeign ? undefined : attempt(() => sitesOf(graph, family));
  if (family !== undefined) found.family = family.name;
  if (sites !== undefined)
    found.lora = { modules: [...new Set(sites.map(kindOf))].sort(), sites: sites.length };
  const cache =
    task === 'generate' && !isForeign
      ? attempt(() => decoderOf(graph, config, { found, settings }))
      : undefined;
  if (task === 'embed') attempt(() => checkEncoder(graph, model, settings));
  const modelBytes = found.modelBytes + growthOfProducts(graph) + growthOfHalves(graph);
  found.memory = memoryNeedOf({
    settings,
    modelBytes,
    precision: facts.precision,
    features: (sites ?? []).reduce((sum, { inFeatures, outFeatures }) => sum + inFeatures + outFeatures, 0),
    ...(cache === undefined
      ? {}
      : { kv: kvOf(cache, settings, { found, contextLength, weightBytes: modelBytes, wanted }) }),
  });
  return found;
};

/** True where it may be served. */
const refuseForm = (task: Task, graph: Graph, choice: GraphChoice): true => {
  (task === 'generate' ? refuseForeignDecoder : refuseForeignForm)(graph, choice);
  return true;
};

const weightsOf = async (
  graph: string,
  { weightBytes }: CheckedPlace,
  names: readonly string[],
  found: Found,
): Promise<number> => {
  let bytes = 0;
  for (const name of names) {
    const size = await weightBytes(join(dirname(graph), name));
    if (size !== undefined) bytes += size;
    else
      found.refusals.push({
        code: 'MODEL_FILE_MISSING',
        message: `${name}, the weights of ${basename(graph)}, is not in ${dirname(graph)}`,
        advice: 'Copy the file into the folder, or export the base model again.',
      });
  }
  return bytes;
};

const providerOf = async (settings: CheckSettings, found: Found): Promise<string | undefined> => {
  try {
    const { provider } = await openOnFirst(
      {
        executionProviders: wantedProviders(settings),
        requireProvider: settings.requireProvider,
        warn: (warning) => found.warnings.push(warning),
        signal: new AbortController().signal,
      },
      // A session on it is all that is tried here.
      async () => undefined,
    );
    return provider;
  } catch (error) {
    found.refusals.push(refusalOf(error));
    return undefined;
  }
};

/** Keys and values of a decoder; appended to by copying, there are two of them. */
type Cache = {
  readonly shape: CacheShape;
  /** Requests can share steps, */
  readonly together: boolean;
  /** and keys and values stay where they are. */
  readonly inPlace: boolean;
};

/** Tokens of a request that is of a usual length. */
const usualTokens = 2048;

/** Keys and values as the engine would plan them here, now. */
const kvOf = (
  { shape, together, inPlace }: Cache,
  settings: CheckSettings,
  {
    found,
    contextLength: most,
    weightBytes,
    wanted: { requests = together ? settings.maxConcurrent : 1, tokens = usualTokens },
  }: {
    readonly found: Found;
    readonly contextLength: number;
    readonly weightBytes: number;
    readonly wanted: Partial<Wanted>;
  },
) => {
  const { kvMemory, kvPrecision: precision, adapterMemory, structureMemory, maxConcurrent } = settings;
  const contextLength = found.contextLength ?? most;
  const plan = kvPlanOf(
    {
      budgetBytes: kvMemory === 'auto' ? undefined : kvMemory,
      precision,
      available: availableMemory(),
      besideBytes: adapterMemory + structureMemory + encoderBytesOf(settings),
      requests: maxConcurrent,
    },
    { shape, contextLength, weightBytes },
  );
  const { budgetBytes, because } = plan;
  if (because !== undefined)
    found.warnings.push(`keys and values are stored as ${plan.precision}: ${because}`);
  const planned = { ...shape, element: plan.precision };
  const bytesPerToken = tokenBytes(planned) * (inPlace ? 1 : 2);
  const room = inPlace ? rowTokens(planned, budgetBytes) : Math.floor(budgetBytes / bytesPerToken);
  return {
    budgetBytes,
    bytesPerToken,
    together,
    tokens: Math.min(contextLength, room),
    wanted: { requests, tokens: Math.min(contextLength, tokens) },
  };
};

/** The inputs of a step and the lengths in the graph, looked at as the engine does. */
const decoderOf = (
  exported: Graph,
  { headSize, contextLength, shortPositions, window, windows, softCapped }: ModelSettings,
  { found, settings }: { readonly found: Found; readonly settings: CheckSettings },
): Cache => {
  if (softCapped) checkSoftCapping(exported);
  const graph = readGraph(withMissingWindows(exported.model, windows));
  const joined = joinPositionTables(graph);
  const base = readGraph(gatherLogitsRows(joined?.model ?? graph.model));
  const { cacheShape, names } = readStepInputs(tensorsAsSession(base), [], headSize);
  if (settings.kvPrecision === 'int8') cacheEntries(base);
  const told = writesInPlace(base);
  const limits = limitsOf(lengthUseOf(base, joined?.tables), {
    told,
    contextLength,
    rounds: roundsActivations(base),
    shortPositions: joined === undefined ? shortPositions : undefined,
    window,
  });
  found.contextLength = limits.maxTokens;
  found.warnings.push(...limits.reasons);
  if (joined !== undefined)
    found.warnings.push(
      `a request that grows beyond ${joined.tables.above} tokens is computed again from its first one there, which takes as long as a prompt of that length`,
    );
  const inPlace = told || rowsInPlace(base, headSize) !== undefined;
  const together = told || (inPlace && names.includes(positionIds));
  if (!together)
    found.warnings.push(
      "requests are generated one after the other, not together: the graph has no GroupQueryAttention, and does not take the position of each token (position_ids) or does not append keys and values as optimum's do; ONNX Runtime GenAI's model builder exports one that has",
    );
  return { shape: cacheShape, together: together && limits.together, inPlace };
};

const checkEncoder = (graph: Graph, model: ModelFolder, { pooling }: CheckSettings): void => {
  const session = tensorsAsSession(graph);
  readEncoderInputs(session, []);
  const outputs = readEncoderOutputs(session);
  const { folder } = model;
  const find = (file: string): string | undefined =>
    [join(folder, file), join(dirname(folder), file)].find((path) => existsSync(path));
  const config = readPoolingConfig(find, { pooling });
  embeddingOutput(outputs, outputs.sentence === undefined ? config.pooling : 'model');
};
