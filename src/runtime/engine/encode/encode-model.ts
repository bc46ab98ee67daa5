import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { EngineInfo } from '../engine.ts';
import { type EncoderSessions, openEncoderSessions } from '../graphs/encoder-sessions.ts';
import { usedOperator } from '../graphs/model-graphs.ts';
import type { ModelOptions } from '../host/options.ts';
import { Texts } from '../host/texts.ts';
import { digestFiles, filesOf } from '../model/digest.ts';
import { openModelFolder, weightFilesOf } from '../model/folder.ts';
import { refuseForeignForm, servedForm } from '../model/form.ts';
import { readSettings } from '../model/settings.ts';
import { TextThread } from '../model/text-thread.ts';
import { openTextCodec, type TextCodec } from '../model/tokenizer.ts';
import { familyOf } from '../onnx/families.ts';
import type { Graph } from '../onnx/graph.ts';
import { openOnFirst } from '../session/choose-provider.ts';
import { type EncoderOutputs, embeddingOutput } from '../session/encoder-graph.ts';
import type { EncoderSession } from '../session/encoder-session.ts';
import { engineVersion } from '../session/runtime-options.ts';
import type { EncoderInfo } from '../tasks.ts';
import { type PoolingConfig, type PoolingOptions, readPoolingConfig } from './pooling-config.ts';

export type EncodeModelOptions = ModelOptions & PoolingOptions;

/** An encoder, ready to run. */
export type EncodeModel = {
  readonly codec: TextCodec;
  readonly texts: Texts;
  readonly sessions: EncoderSessions;
  readonly info: EngineInfo & { readonly encoder: EncoderInfo };
  /** Output of the graph that embeddings are made of, and the one that heads take. */
  readonly embedding: string;
  readonly pooler: string | undefined;
};

/** sentence-transformers' files lie beside the graph or, like the tokenizer, in the parent folder. */
const finder =
  (folder: string) =>
  (file: string): string | undefined =>
    [join(folder, file), join(dirname(folder), file)].find((path) => existsSync(path));

/** Numbers per text of an output: a fixed size of the graph, or what one run gives. */
const sizeOf = async (session: EncoderSession, output: string): Promise<number> => {
  const feeds = session.feeds(new Map());
  try {
    const [result] = await session.encode(feeds, [[3, 5]], [output]);
    return result?.shape.at(-1) ?? 0;
  } finally {
    feeds.release();
  }
};

const encoderInfo = async (
  session: EncoderSession,
  config: PoolingConfig,
  limits: { readonly positions: number; readonly wrappers: readonly string[]; readonly normalize: boolean },
): Promise<EncoderInfo> => {
  const { outputs } = session;
  const pooling = poolingOf(config, outputs);
  return {
    dimensions: await sizeOf(session, embeddingOutput(outputs, pooling)),
    maxTokens: Math.min(config.maxTokens ?? Infinity, limits.positions),
    pooling,
    // What the graph pools by itself is what its maker wanted, of length 1 or not.
    normalize: config.normalize ?? (pooling !== 'model' && limits.normalize),
    ...(outputs.pooler === undefined ? {} : { headFeatures: await sizeOf(session, outputs.pooler) }),
    wrappers: limits.wrappers,
  };
};

/** A graph that pools by itself is taken at its word. */
const poolingOf = ({ pooling }: PoolingConfig, { sentence }: EncoderOutputs): EncoderInfo['pooling'] =>
  sentence === undefined ? pooling : 'model';

/**
 * Opens an encoder.
 * @throws MODEL_FILE_MISSING, MODEL_INVALID, MODEL_UNSUPPORTED, MODEL_WIRING_BROKEN, PROVIDER_NOT_AVAILABLE
 */
export const openEncodeModel = async (
  modelDir: string,
  exported: Graph,
  options: EncodeModelOptions,
): Promise<EncodeModel> => {
  const model = openModelFolder(modelDir, options.modelFile);
  const graph = servedForm(exported, model, options.warn);
  refuseForeignForm(graph, model);
  const settings = readSettings(model);
  const family = familyOf(settings.modelType);
  const config = readPoolingConfig(finder(model.folder), options);
  const pooling = config.files.map((path, index) => ({ name: `pooling-${index}`, path }));
  const files = [...filesOf(model, weightFilesOf(model, graph)), ...pooling];
  const digest = await digestFiles(model.folder, files, options);
  const codec = openTextCodec(model, settings.vocabSize);
  const {
    provider,
    refused,
    opened: sessions,
  } = await openOnFirst(options, (on) =>
    openEncoderSessions({ ...options, model, graph, family, digest, provider: on }),
  );
  const { wrappers } = family;
  const { normalize = true } = options;
  const limits = { positions: settings.contextLength, wrappers, normalize };
  const encoder = await encoderInfo(sessions.base, config, limits);
  const info = {
    graphFile: model.graph,
    baseDigest: digest,
    graphDigest: sessions.graphDigest,
    engineVersion,
    executionProvider: provider,
    refusedProviders: refused,
    operators: sessions.operators,
    loraOperator: usedOperator(sessions.lora, options.operator),
    limits: [],
    architecture: settings.modelType,
    contextLength: encoder.maxTokens,
    vocabSize: settings.vocabSize,
    sites: sessions.lora.sites,
    weights: sessions.lora.weights,
    task: 'embed',
    encoder,
  } as const;
  const { outputs } = sessions.base;
  const { vocabSize } = settings;
  const texts = new Texts(codec, new TextThread({ model, vocabSize, clock: options.clock }));
  return {
    codec,
    texts,
    sessions,
    info,
    embedding: embeddingOutput(outputs, encoder.pooling),
    pooler: outputs.pooler,
  };
};
