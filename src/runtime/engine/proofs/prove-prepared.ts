import { readFileSync } from 'node:fs';
import { gatherLogitsRows } from '../onnx/logits-rows.ts';
import { withWholeCaches } from '../onnx/whole-caches.ts';
import { type DecoderGraphOptions, DecoderSession } from '../session/decoder-session.ts';
import { EncoderSession } from '../session/encoder-session.ts';

/** Token ids that every vocabulary has: what graphs are asked to be compared. */
const proofIds: readonly number[] = [3, 5, 7, 11, 13, 17];

/** A graph file, and where its weights are. */
export type GraphPlace = {
  readonly graph: string;
  readonly weightsFolder: string;
  readonly optimised: boolean;
};

/** Opens a graph and answers all that it computes for {@link proofIds} without an adapter. */
export type AnswersOf = (place: GraphPlace) => Promise<Float32Array>;

/** Logits of every position that a decoder gives. */
export const decoderAnswers =
  ({ tables, ...options }: Pick<DecoderGraphOptions, 'threads' | 'headSize' | 'tables'>): AnswersOf =>
  async (place) => {
    const graph = gatherLogitsRows(withWholeCaches(readFileSync(place.graph)));
    const session = await DecoderSession.open(graph, [], {
      ...place,
      ...options,
      tables: place.optimised ? tables : undefined,
    });
    const feeds = session.feeds(new Map());
    const logits = await session.logitsOf(feeds, proofIds, [...proofIds.keys()]);
    feeds.release();
    session.release();
    return logits;
  };

/** Everything that an encoder gives. */
export const encoderAnswers =
  (threads: number): AnswersOf =>
  async ({ graph, ...place }) => {
    const session = await EncoderSession.open(readFileSync(graph), [], { ...place, threads });
    const feeds = session.feeds(new Map());
    const output = await session.logitsOf(feeds, proofIds);
    feeds.release();
    session.release();
    return output;
  };

/**
 * Proves that a graph on its prepared weights gives the same answers, bit for bit, as the graph that was exported:
 * kernels differ in what they make of packed weights, and a wrong layout is no error to ONNX Runtime.
 * @throws an Error when they differ or are not finite
 */
export const provePrepared = async (
  places: { readonly exported: GraphPlace; readonly prepared: GraphPlace },
  answersOf: AnswersOf,
): Promise<void> => {
  const exported = await answersOf(places.exported);
  const prepared = await answersOf(places.prepared);
  const same =
    prepared.length === exported.length &&
    prepared.every((value, index) => Number.isFinite(value) && Object.is(value, exported[index]));
  if (!same)
    throw new Error(`the prepared weights of ${places.exported.graph} do not give the answers of the model`);
};
