import type { Engine, EngineInfo } from '../engine/engine.ts';
import type { Cards } from '../serving/cards.ts';
import type { RolloutCounts } from '../serving/counts/rollout-counts.ts';
import type { DataPath } from '../serving/data-path.ts';
import type { Serving } from '../serving/serving.ts';

export type ServingParts = {
  readonly engine: Pick<Engine, 'state' | 'info'>;
  readonly baseModel: string;
  readonly dataPath: DataPath;
  readonly counts: RolloutCounts;
  readonly cards: Cards;
};

const baseOf = (name: string, info: EngineInfo): Serving['base'] => {
  const { baseDigest: digest, contextLength, vocabSize, task, encoder, tensors } = info;
  return {
    name,
    digest,
    contextLength,
    vocabSize,
    task,
    ...(encoder === undefined ? {} : { encoder }),
    ...(tensors === undefined ? {} : { tensors }),
  };
};

/** Whether requests can be answered now, and why not. */
export const readinessOf = ({ state }: Pick<Engine, 'state'>): ReturnType<Serving['ready']> => {
  const ok = state === 'ready';
  return { ok, reason: ok ? '' : `the engine is ${state}` };
};

/** The data path as the servers see it. */
export const servingOf = ({ engine, baseModel, dataPath, counts, cards }: ServingParts): Serving => ({
  generate: (context, request, signal) => dataPath.generate(context, request, signal),
  encode: (context, request, signal) => dataPath.encode(context, request, signal),
  infer: (context, request, signal) => dataPath.infer(context, request, signal),
  feedback: (id, reward) => counts.feedback.record(id, reward),
  models: (namespace) => cards.all(namespace),
  model: (namespace, name) => cards.one(namespace, name),
  get base() {
    return baseOf(baseModel, engine.info());
  },
  ready: () => readinessOf(engine),
});
