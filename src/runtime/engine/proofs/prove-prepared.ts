import { type DecoderGraphOptions, DecoderSession } from '../session/decoder-session.ts';
import { EncoderSession } from '../session/encoder-session.ts';

/** Token ids that every vocabulary has: what graphs are asked to be compared. */
const proofIds: readonly number[] = [3, 5, 7, 11, 13, 17];

/** A graph, and where its weights are. */
export type GraphPlace = Pick<
  DecoderGraphOptions,
  'weightsFolder' | 'weights' | 'optimised' | 'optimisedFile' | 'optimisedWeights'
> & { readonly graph: Buffer };

/** A graph without an adapter. */
export type Answering = {
  /** All that it computes for token ids; of a decoder the logits of the positions in `read`, by default of every one. */
  answer(ids: readonly number[], read?: readonly number[]): Promise<Float32Array>;
  release(): void;
};

export type OpenAnswering = (place: GraphPlace) => Promise<Answering>;

const releasing = (...owned: readonly { release(): void }[]): Pick<Answering, 'release'> => ({
  release() {
    for (const each of owned) each.release();
  },
});

type DecoderOptions = Pick<DecoderGraphOptions, 'threads' | 'headSize' | 'tables' | 'operator'>;

export const openDecoder =
  ({ tables, ...options }: DecoderOptions): OpenAnswering =>
  async ({ graph, ...place }) => {
    const session = await DecoderSession.open(graph, [], { ...place, ...options, tables });
    const feeds = session.feeds(new Map());
    return {
      answer: (ids, read = [...ids.keys()]) => session.logitsOf(feeds, ids, read),
      ...releasing(feeds, session),
    };
  };

export const openEncoder =
  (options: Pick<DecoderGraphOptions, 'threads' | 'operator'>): OpenAnswering =>
  async ({ graph, ...place }) => {
    const session = await EncoderSession.open(graph, [], { ...place, ...options });
    const feeds = session.feeds(new Map());
    return { answer: (ids) => session.logitsOf(feeds, ids), ...releasing(feeds, session) };
  };

/** All that a graph computes for {@link proofIds}. */
export const proofAnswers =
  (open: OpenAnswering) =>
  async (place: GraphPlace): Promise<Float32Array> => {
    const graph = await open(place);
    try {
      return await graph.answer(proofIds);
    } finally {
      graph.release();
    }
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
