import type { Digest } from '../../../api/names.ts';
import type { EngineInfo } from '../engine.ts';
import { type DecoderSessions, openDecoderSessions } from '../graphs/decoder-sessions.ts';
import type { ModelOptions } from '../host/options.ts';
import { Texts } from '../host/texts.ts';
import { digestModel } from '../model/digest.ts';
import { openModelFolder, weightFilesOf } from '../model/folder.ts';
import { refuseForeignDecoder } from '../model/form.ts';
import { type ModelSettings, readSettings } from '../model/settings.ts';
import { TextThread } from '../model/text-thread.ts';
import { openTextCodec, type TextCodec } from '../model/tokenizer.ts';
import { familyOf } from '../onnx/families.ts';
import type { Graph } from '../onnx/graph.ts';
import { checkSoftCapping } from '../onnx/soft-capping.ts';
import { type OnProvider, openOnFirst } from '../session/choose-provider.ts';
import { engineVersion } from '../session/runtime-options.ts';

/** A decoder, ready to run. */
export type GenerateModel = {
  readonly settings: ModelSettings;
  readonly codec: TextCodec;
  readonly texts: Texts;
  readonly sessions: DecoderSessions;
  readonly info: EngineInfo;
};

const infoOf = (
  graphFile: string,
  digest: Digest,
  settings: ModelSettings,
  { opened: sessions, provider, refused }: OnProvider<DecoderSessions>,
): EngineInfo => ({
  graphFile,
  baseDigest: digest,
  graphDigest: sessions.graphDigest,
  engineVersion,
  executionProvider: provider,
  refusedProviders: refused,
  operators: sessions.operators,
  limits: sessions.limits,
  architecture: settings.modelType,
  contextLength: settings.contextLength,
  vocabSize: settings.vocabSize,
  sites: sessions.lora.sites,
  task: 'generate',
});

/**
 * Opens a decoder.
 * @throws MODEL_FILE_MISSING, MODEL_INVALID, MODEL_UNSUPPORTED, MODEL_WIRING_BROKEN, PROVIDER_NOT_AVAILABLE
 */
export const openGenerateModel = async (
  modelDir: string,
  graph: Graph,
  options: ModelOptions,
): Promise<GenerateModel> => {
  const model = openModelFolder(modelDir, options.modelFile);
  refuseForeignDecoder(graph, model);
  const settings = readSettings(model);
  const family = familyOf(settings.modelType);
  const digest = await digestModel(model, weightFilesOf(model, graph), options);
  const codec = openTextCodec(model, settings.vocabSize);
  if (settings.softCapped) checkSoftCapping(graph);
  const { headSize, contextLength, shortPositions, window } = settings;
  const limits = { headSize, contextLength, shortPositions, window };
  const chosen = await openOnFirst(options, (provider) =>
    openDecoderSessions({ ...options, model, graph, family, digest, ...limits, provider }),
  );
  const { vocabSize } = settings;
  const texts = new Texts(codec, new TextThread({ model, vocabSize, clock: options.clock }));
  const shown = { ...settings, contextLength: chosen.opened.maxTokens };
  return {
    settings: shown,
    codec,
    texts,
    sessions: chosen.opened,
    info: infoOf(model.graph, digest, shown, chosen),
  };
};
