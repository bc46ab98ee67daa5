import { errorCodeOf } from '../../errors/adaptlet-error.ts';
import type { ModelView, ProviderView } from '../admin/views.ts';
import { modelText } from '../base-model/model-state.ts';
import type { Engine, EngineInfo, KvRoom } from '../engine/engine.ts';
import type { CertificateFiles } from '../server/tls/certificate-files.ts';
import type { Cards } from '../serving/cards.ts';
import type { RolloutCounts } from '../serving/counts/rollout-counts.ts';
import type { DataPath } from '../serving/data-path.ts';
import type { Serving } from '../serving/serving.ts';
import type { BaseModel } from './base-model.ts';

export type ServingParts = {
  readonly base: BaseModel;
  readonly baseModel: string;
  readonly dataPath: DataPath;
  readonly counts: RolloutCounts;
  readonly cards: Cards;
  /** It still answers, and nobody new should come. */
  readonly isLeaving: () => boolean;
  readonly tls: CertificateFiles | undefined;
};

const baseOf = (name: string, info: EngineInfo): Serving['base'] => {
  const { baseDigest: digest, contextLength, vocabSize, task, room, chat, encoder, tensors } = info;
  return {
    name,
    digest,
    contextLength,
    vocabSize,
    task,
    ...(room === undefined ? {} : { room }),
    ...(chat === undefined ? {} : { chat }),
    ...(encoder === undefined ? {} : { encoder }),
    ...(tensors === undefined ? {} : { tensors }),
  };
};

/** What the request ports lack, which may have no certificate yet; '' when nothing. */
export const lackingIn = (tls: Pick<CertificateFiles, 'context'> | undefined): string =>
  tls !== undefined && tls.context === undefined
    ? 'the request ports have no certificate of the operator yet, and take no connection'
    : '';

/** Whether requests can be answered now, and why not. `tls`: of the request ports. */
export const readinessOf = (
  { engine, state }: Pick<BaseModel, 'engine' | 'state'>,
  tls: Pick<CertificateFiles, 'context'> | undefined,
): ReturnType<Serving['ready']> => {
  const lacking = lackingIn(tls);
  if (lacking !== '') return { ok: false, reason: lacking };
  const ok = engine.state === 'ready';
  return { ok, reason: ok ? '' : modelText(state()) || `the engine is ${engine.state}` };
};

/** What the engine says of the base model; empty until it was loaded for the first time. */
export const identityOf = (
  engine: Pick<Engine, 'info'>,
): ProviderView & { readonly baseDigest: EngineInfo['baseDigest'] | ''; readonly kv?: KvRoom } => {
  try {
    return engine.info();
  } catch (error) {
    if (errorCodeOf(error) === 'ENGINE_DOWN') {
      const none = { refusedProviders: [], operators: {}, limits: [] };
      return { baseDigest: '', executionProvider: '', loraOperator: '', ...none };
    }
    throw error;
  }
};

/** Bytes for keys and values; Infinity while nobody knows. */
export const kvBudgetOf = (engine: Pick<Engine, 'info'>): number =>
  identityOf(engine).kv?.budgetBytes ?? Infinity;

/** How far the base model is, as people and the operator see it. */
export const modelViewOf = (
  source: string,
  { state, manifestDigest }: Pick<BaseModel, 'state' | 'manifestDigest'>,
): ModelView => {
  const now = state();
  const bytes = { receivedBytes: 0, totalBytes: 0, bytesPerSecond: 0, ...now };
  const { receivedBytes, totalBytes, bytesPerSecond } = bytes;
  return {
    source,
    state: now.kind,
    reason: now.kind === 'Waiting' ? now.code : '',
    message: modelText(now),
    manifestDigest: manifestDigest(),
    receivedBytes,
    totalBytes,
    bytesPerSecond,
  };
};

/** The data path as the servers see it. */
export const servingOf = ({
  base,
  baseModel,
  dataPath,
  counts,
  cards,
  isLeaving,
  tls,
}: ServingParts): Serving => ({
  generate: (context, request, signal, stages) => dataPath.generate(context, request, signal, stages),
  encode: (context, request, signal, stages) => dataPath.encode(context, request, signal, stages),
  infer: (context, request, signal, stages) => dataPath.infer(context, request, signal, stages),
  feedback: (id, reward, isAllowed) => counts.feedback.record(id, reward, isAllowed),
  models: (namespace) => cards.all(namespace),
  model: (namespace, name) => cards.one(namespace, name),
  get base() {
    return baseOf(baseModel, base.engine.info());
  },
  ready: () => (isLeaving() ? { ok: false, reason: 'it is stopping' } : readinessOf(base, tls)),
});
