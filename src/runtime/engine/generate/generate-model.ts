import { readFileSync } from 'node:fs';
import type { Digest } from '../../../api/names.ts';
import type { Clock } from '../../../time/clock.ts';
import type { EngineInfo } from '../engine.ts';
import { openSessions, type Sessions } from '../graphs/decoder-graphs.ts';
import { digestModel } from '../model/digest.ts';
import { openModelFolder, weightFilesOf } from '../model/folder.ts';
import { type ModelSettings, readSettings } from '../model/settings.ts';
import { openTextCodec, type TextCodec } from '../model/tokenizer.ts';
import { familyOf } from '../onnx/families.ts';
import { readGraph } from '../onnx/graph.ts';
import { chooseProvider, type ProviderWish } from '../session/choose-provider.ts';
import { engineVersion } from '../session/runtime-options.ts';

export type BaseModelOptions = Partial<ProviderWish> & {
  readonly modelDir: string;
  /** Folder for what is made once per base model: its digest, prepared weights, the wiring's verdict. */
  readonly cacheDir: string;
  readonly threads: number;
  readonly spin?: boolean;
  readonly clock: Clock;
  /** Told what does not stop the engine but costs something. */
  readonly warn: (message: string) => void;
  readonly signal: AbortSignal;
};

/** A base model, ready to run. */
export type BaseModel = {
  readonly settings: ModelSettings;
  readonly codec: TextCodec;
  readonly sessions: Sessions;
  readonly info: EngineInfo;
};

const infoOf = (
  digest: Digest,
  settings: ModelSettings,
  sessions: Sessions,
  executionProvider: string,
): EngineInfo => ({
  baseDigest: digest,
  graphDigest: sessions.graphDigest,
  engineVersion,
  executionProvider,
  architecture: settings.modelType,
  contextLength: settings.contextLength,
  vocabSize: settings.vocabSize,
  sites: sessions.lora.sites,
  task: 'generate',
});

/**
 * Opens the base model in a folder. Errors: MODEL_FILE_MISSING, MODEL_INVALID, MODEL_UNSUPPORTED,
 * MODEL_WIRING_BROKEN, PROVIDER_NOT_AVAILABLE.
 */
export const openBaseModel = async (options: BaseModelOptions): Promise<BaseModel> => {
  const model = openModelFolder(options.modelDir);
  const settings = readSettings(model);
  const family = familyOf(settings.modelType);
  const graph = readGraph(readFileSync(model.graph));
  const digest = await digestModel(model, weightFilesOf(model, graph), options.cacheDir);
  const codec = openTextCodec(model, settings.vocabSize);
  const { headSize } = settings;
  const { executionProviders = [], requireProvider = false, warn } = options;
  const provider = await chooseProvider({ executionProviders, requireProvider }, warn);
  const sessions = await openSessions({ ...options, model, graph, family, digest, headSize, provider });
  return { settings, codec, sessions, info: infoOf(digest, settings, sessions, provider) };
};
