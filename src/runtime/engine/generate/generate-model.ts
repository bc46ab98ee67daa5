import { statSync } from 'node:fs';
import type { Digest } from '../../../api/names.ts';
import { errorCodeOf } from '../../../errors/adaptlet-error.ts';
import type { ChatInfo, EngineInfo } from '../engine.ts';
import { type DecoderSessions, openDecoderSessions } from '../graphs/decoder-sessions.ts';
import { usedOperator } from '../graphs/model-graphs.ts';
import type { ModelOptions } from '../host/options.ts';
import { Texts } from '../host/texts.ts';
import { digestModel } from '../model/digest.ts';
import { openModelFolder, weightFilesOf } from '../model/folder.ts';
import { refuseForeignDecoder, servedForm } from '../model/form.ts';
import { sampleTexts } from '../model/sample-texts.ts';
import { type ModelSettings, readSettings } from '../model/settings.ts';
import { TextThread } from '../model/text-thread.ts';
import { openTextCodec, type TextCodec } from '../model/tokenizer.ts';
import { familyOf } from '../onnx/families.ts';
import { type Graph, readGraph, tensorsOf } from '../onnx/graph.ts';
import { growthOfHalves } from '../onnx/in-float32.ts';
import { withMissingWindows } from '../onnx/missing-windows.ts';
import { growthOfProducts } from '../onnx/own-products.ts';
import { checkSoftCapping } from '../onnx/soft-capping.ts';
import type { Operator } from '../ort/operator.ts';
import { cpuProvider } from '../ort/providers.ts';
import { elementTypeOf } from '../ort/tensor.ts';
import { type KvPlan, type KvWish, kvPlanOf } from '../schedule/kv-budget.ts';
import { type OnProvider, openOnFirst } from '../session/choose-provider.ts';
import type { CacheShape, KvElement } from '../session/kv-cache.ts';
import { engineVersion } from '../session/runtime-options.ts';
import { cacheShapeOf } from '../session/step-inputs.ts';
import type { VocabularyOf } from '../structure/vocabulary.ts';

/** A decoder, ready to run. */
export type GenerateModel = {
  readonly settings: ModelSettings;
  readonly codec: TextCodec;
  readonly texts: Texts;
  /** What masks of tokens are about. */
  readonly vocabulary: VocabularyOf;
  readonly sessions: DecoderSessions;
  readonly kv: KvPlan;
  readonly info: EngineInfo;
};

const infoOf = (
  graphFile: string,
  digest: Digest,
  settings: ModelSettings,
  { opened: sessions, provider, refused }: OnProvider<DecoderSessions>,
  { operator, chat }: { readonly operator: Operator | undefined; readonly chat: ChatInfo | undefined },
): EngineInfo => ({
  graphFile,
  baseDigest: digest,
  graphDigest: sessions.graphDigest,
  engineVersion,
  executionProvider: provider,
  refusedProviders: refused,
  operators: sessions.operators,
  loraOperator: usedOperator(sessions.lora, operator),
  native: { attention: sessions.foreignAttention === undefined, linears: sessions.ownProducts },
  limits: sessions.limits,
  architecture: settings.modelType,
  contextLength: settings.contextLength,
  vocabSize: settings.vocabSize,
  sites: sessions.lora.sites,
  weights: sessions.lora.weights,
  task: 'generate',
  ...(chat === undefined ? {} : { chat }),
});

/** Of who has no wish. */
const plainWish: KvWish = { precision: 'float32', available: undefined, besideBytes: 0, requests: 1 };

const exportedShape = (graph: Graph, headSize: number): CacheShape =>
  cacheShapeOf(
    tensorsOf(graph, 'inputs').map(({ code, ...info }) => ({ ...info, type: elementTypeOf(code) })),
    headSize,
  );

/** Long enough to be like any text, short enough for a start. */
const sampleTokens = 256;

/** A token that the graph does not have stands for another one. */
const sampleOf = (
  codec: TextCodec,
  text: string,
  { contextLength, vocabSize }: ModelSettings,
): readonly number[] =>
  codec
    .encode({ kind: 'text', text })
    .slice(0, Math.min(sampleTokens, contextLength))
    .map((id) => id % vocabSize);

type Opened = OnProvider<DecoderSessions>;

/** Opens it as planned. What the machine's memory asked for, and the model does not bear, is float32 after all. */
const openWith = async (
  plan: KvPlan,
  wish: KvWish,
  {
    open,
    warn,
  }: {
    /** How keys and values are stored on the CPU, and on other providers. */
    readonly open: (onCpu: KvElement, elsewhere: KvElement) => Promise<Opened>;
    readonly warn: (message: string) => void;
  },
): Promise<{ readonly chosen: Opened; readonly kv: KvPlan }> => {
  const elsewhere = wish.precision === 'auto' ? 'float32' : plan.precision;
  try {
    const chosen = await open(plan.precision, elsewhere);
    const precision = chosen.opened.base.cacheShape.element;
    return { chosen, kv: precision === plan.precision ? plan : { budgetBytes: plan.budgetBytes, precision } };
  } catch (error) {
    if (plan.because === undefined || errorCodeOf(error) !== 'MODEL_UNSUPPORTED') throw error;
    warn(`keys and values stay in float32, though ${plan.because}: ${String(error)}`);
    const chosen = await open('float32', 'float32');
    return { chosen, kv: { budgetBytes: plan.budgetBytes, precision: 'float32' } };
  }
};

/**
 * Opens a decoder.
 * @throws MODEL_FILE_MISSING, MODEL_INVALID, MODEL_UNSUPPORTED, MODEL_WIRING_BROKEN, PROVIDER_NOT_AVAILABLE
 */
export const openGenerateModel = async (
  modelDir: string,
  exported: Graph,
  options: ModelOptions & { readonly kv?: KvWish },
): Promise<GenerateModel> => {
  const model = openModelFolder(modelDir, options.modelFile);
  const graph = servedForm(exported, model, options.warn);
  refuseForeignDecoder(graph, model);
  const settings = readSettings(model);
  const family = familyOf(settings.modelType);
  const weightFiles = weightFilesOf(model, graph);
  const digest = await digestModel(model, weightFiles, options);
  const codec = openTextCodec(model, settings.vocabSize);
  if (settings.softCapped) checkSoftCapping(graph);
  const { headSize, contextLength, shortPositions, window, windows } = settings;
  const limits = { headSize, contextLength, shortPositions, window, windows };
  const withWindows = readGraph(withMissingWindows(graph.model, windows));
  const wish = options.kv ?? plainWish;
  const plan = kvPlanOf(wish, {
    shape: exportedShape(graph, headSize),
    contextLength,
    weightBytes:
      graph.model.length +
      weightFiles.reduce((sum, path) => sum + statSync(path).size, 0) +
      growthOfProducts(graph) +
      growthOfHalves(graph),
  });
  const samples = {
    learned: sampleTexts.learned.map((text) => sampleOf(codec, text, settings)),
    unseen: sampleTexts.unseen.map((text) => sampleOf(codec, text, settings)),
  };
  const open = (kvPrecision: KvElement, elsewhere: KvElement) =>
    openOnFirst(options, (provider) =>
      openDecoderSessions({
        ...options,
        model,
        graph: withWindows,
        family,
        digest,
        ...limits,
        provider,
        samples,
        kvPrecision: provider === cpuProvider ? kvPrecision : elsewhere,
      }),
    );
  const { chosen, kv } = await openWith(plan, wish, { open, warn: options.warn });
  const { vocabSize } = settings;
  const texts = new Texts(codec, new TextThread({ model, vocabSize, clock: options.clock }));
  const shown = { ...settings, contextLength: chosen.opened.maxTokens };
  return {
    settings: shown,
    codec,
    texts,
    vocabulary: { model, vocabSize, eosIds: [...settings.eosIds] },
    sessions: chosen.opened,
    kv,
    info: infoOf(model.graph, digest, shown, chosen, { operator: options.operator, chat: codec.chat }),
  };
};
