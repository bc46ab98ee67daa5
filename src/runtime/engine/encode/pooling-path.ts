import type { Feeds } from '../adapters/feeds.ts';
import type { LoadedAdapter } from '../adapters/loaded-adapter.ts';
import type { EncoderSession, EncoderValues } from '../session/encoder-session.ts';
import type { EncoderModel } from './encode-model.ts';
import { firstState, meanState } from './pooling.ts';

/** What texts are run with and for. */
export type Lane = {
  readonly session: EncoderSession;
  /** Feeds can be rebuilt between steps, so they are asked for. */
  readonly feeds: () => Feeds;
  /** Output of the graph. */
  readonly output: string;
  /** The vector of one text: `values` are the output's for it, `length` its tokens. */
  readonly pool: (values: Float32Array, size: number, length: number) => Float32Array;
};

/** The two lanes of an adapter, or of the base model. */
export type Lanes = { readonly embedding: Lane; readonly pooler: Lane };

const whole = (values: Float32Array): Float32Array => values.slice();

const poolOf = ({ pooling }: EncoderModel['info']['encoder']): Lane['pool'] => {
  if (pooling === 'mean') return (values, size, length) => meanState({ values, size, length });
  if (pooling === 'cls') return (values, size, length) => firstState({ values, size, length });
  return whole;
};

const lanes = (model: EncoderModel, session: EncoderSession, feeds: () => Feeds): Lanes => ({
  embedding: { session, feeds, output: model.embedding, pool: poolOf(model.info.encoder) },
  pooler: { session, feeds, output: model.pooler ?? model.embedding, pool: whole },
});

export const baseLanes = (model: EncoderModel, feeds: Feeds): Lanes =>
  lanes(model, model.sessions.base, () => feeds);

export const adapterLanes = (model: EncoderModel, adapter: LoadedAdapter): Lanes =>
  lanes(model, model.sessions.lora, () => adapter.feeds);

const rowOf = ({ values, perText }: EncoderValues, row: number): Float32Array =>
  values.subarray(row * perText, (row + 1) * perText);

/** One vector for each text of a run, each by its own lane. */
export const poolEach = (
  result: EncoderValues,
  texts: readonly { readonly lane: Lane; readonly ids: readonly number[] }[],
): readonly Float32Array[] => {
  const size = result.shape.at(-1) ?? 0;
  return texts.map(({ lane, ids }, row) => lane.pool(rowOf(result, row), size, ids.length));
};
