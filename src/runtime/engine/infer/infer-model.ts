import { createHash } from 'node:crypto';
import { dirname } from 'node:path';
import type { EngineInfo } from '../engine.ts';
import type { ModelOptions } from '../host/options.ts';
import { digestFiles } from '../model/digest.ts';
import { weightFilesOf } from '../model/folder.ts';
import { findGraph } from '../model/graph-file.ts';
import type { Graph } from '../onnx/graph.ts';
import { openOnFirst } from '../session/choose-provider.ts';
import { engineVersion } from '../session/runtime-options.ts';
import { InferSession } from './infer-session.ts';

/** A graph of plain tensors, ready to run. */
export type InferModel = { readonly session: InferSession; readonly info: EngineInfo };

/**
 * Opens a graph of plain tensors.
 * @throws MODEL_FILE_MISSING, MODEL_INVALID, MODEL_UNSUPPORTED, PROVIDER_NOT_AVAILABLE
 */
export const openInferModel = async (
  modelDir: string,
  graph: Graph,
  options: ModelOptions,
): Promise<InferModel> => {
  const graphFile = findGraph(modelDir, options.modelFile);
  const folder = dirname(graphFile);
  const place = { folder, graph: graphFile };
  const weights = weightFilesOf(place, graph);
  const files = [
    { name: 'graph', path: place.graph },
    ...weights.map((path, index) => ({ name: `weights-${index}`, path })),
  ];
  const baseDigest = await digestFiles(folder, files, options);
  const { threads, spin = false } = options;
  const {
    provider,
    refused,
    opened: session,
  } = await openOnFirst(options, (on) =>
    InferSession.open(graph.model, { weightsFolder: folder, threads, spin, provider: on }),
  );
  return {
    session,
    info: {
      graphFile,
      baseDigest,
      graphDigest: createHash('sha256').update(graph.model).digest('hex'),
      engineVersion,
      weights: 'float32',
      executionProvider: provider,
      refusedProviders: refused,
      operators: {},
      loraOperator: '',
      limits: [],
      architecture: 'onnx',
      contextLength: 0,
      vocabSize: 0,
      sites: [],
      task: 'infer',
      tensors: session.tensors,
    },
  };
};
