import { createHash } from 'node:crypto';
import { join, resolve } from 'node:path';
import type { EngineInfo } from '../engine.ts';
import { digestFiles } from '../model/digest.ts';
import { weightFilesOf } from '../model/folder.ts';
import type { Graph } from '../onnx/graph.ts';
import { chooseProvider, type ProviderWish } from '../session/choose-provider.ts';
import { engineVersion } from '../session/runtime-options.ts';
import { InferSession } from './infer-session.ts';

export type InferModelOptions = Partial<ProviderWish> & {
  readonly cacheDir: string;
  readonly threads: number;
  readonly spin?: boolean;
  readonly warn: (message: string) => void;
};

/** A graph of plain tensors, ready to run. */
export type InferModel = { readonly session: InferSession; readonly info: EngineInfo };

/** Opens a graph of plain tensors. Errors: MODEL_FILE_MISSING, MODEL_INVALID, MODEL_UNSUPPORTED, PROVIDER_NOT_AVAILABLE. */
export const openInferModel = async (
  modelDir: string,
  graph: Graph,
  options: InferModelOptions,
): Promise<InferModel> => {
  const folder = resolve(modelDir);
  const place = { folder, graph: join(folder, 'model.onnx') };
  const weights = weightFilesOf(place, graph);
  const files = [
    { name: 'graph', path: place.graph },
    ...weights.map((path, index) => ({ name: `weights-${index}`, path })),
  ];
  const baseDigest = await digestFiles(folder, files, options.cacheDir);
  const { executionProviders = [], requireProvider = false, warn, threads, spin = false } = options;
  const provider = await chooseProvider({ executionProviders, requireProvider }, warn);
  const session = await InferSession.open(graph.model, { weightsFolder: folder, threads, spin, provider });
  return {
    session,
    info: {
      baseDigest,
      graphDigest: createHash('sha256').update(graph.model).digest('hex'),
      engineVersion,
      executionProvider: provider,
      architecture: 'onnx',
      contextLength: 0,
      vocabSize: 0,
      sites: [],
      task: 'infer',
      tensors: session.tensors,
    },
  };
};
