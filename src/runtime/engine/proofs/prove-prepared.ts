import { type DecoderGraphOptions, DecoderSession } from '../session/decoder-session.ts';
import { EncoderSession } from '../session/encoder-session.ts';

/** Token ids that every vocabulary has: what graphs are asked to be compared. */
const proofIds: readonly number[] = [3, 5, 7, 11, 13, 17];

/** A graph, and where its weights are. */
export type GraphPlace = Pick<
  DecoderGraphOptions,
  'weightsFolder' | 'weights' | 'optimised' | 'optimisedFile'
> & { readonly graph: Buffer };

/** Opens a graph and answers all that it computes for {@link proofIds} without an adapter. */
export type AnswersOf = (place: GraphPlace) => Promise<Float32Array>;

/** Logits of every position that a decoder gives. */
export const decoderAnswers =
  ({
    tables,
    ...options
  }: Pick<DecoderGraphOptions, 'threads' | 'headSize' | 'tables' | 'operator'>): AnswersOf =>
  async ({ graph, ...place }) => {
    const session = await DecoderSession.open(graph, [], { ...place, ...options, tables });
    const feeds = session.feeds(new Map());
    const logits = await session.logitsOf(feeds, proofIds, [...proofIds.keys()]);
    feeds.release();
    session.release();
    return logits;
  };

/** Everything that an encoder gives. */
export const encoderAnswers =
  (options: Pick<DecoderGraphOptions, 'threads' | 'operator'>): AnswersOf =>
  async ({ graph, ...place }) => {
    const session = await EncoderSession.open(graph, [], { ...place, ...options });
    const feeds = session.feeds(new Map());
    const output = await session.logitsOf(feeds, proofIds);
    feeds.release();
    session.release();
    return output;
  };

/**
 * Proves that an optimised graph over shared weights gives the same answers, bit for bit, as the graph that was exported:
 * kernels differ in what they make of packed weights, and a wrong constant is no error to ONNX Runtime.
 * @throws an Error when they differ or are not finite
 */
export const provePrepared = (exported: Float32Array, prepared: Float32Array, model: string): void => {
  const same =
    prepared.length === exported.length &&
    prepared.every((value, index) => Number.isFinite(value) && Object.is(value, exported[index]));
  if (!same) throw new Error(`the optimised graph of ${model} does not give the answers of the model`);
};
