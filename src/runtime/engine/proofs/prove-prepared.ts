import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { gatherLogitsRows } from '../onnx/logits-rows.ts';
import { GraphSession } from '../session/decoder-session.ts';
import { preparedFiles } from '../session/prepared-files.ts';

/** Token ids that every vocabulary has: what graphs are asked to be compared. */
export const proofIds: readonly number[] = [3, 5, 7, 11, 13, 17];

/** A graph file, and where its weights are. */
export type GraphPlace = {
  readonly graph: string;
  readonly weightsFolder: string;
  readonly optimised: boolean;
};

/** Opens a graph and answers all that it computes for {@link proofIds} without an adapter. */
export type AnswersOf = (place: GraphPlace) => Promise<Float32Array>;

/** Logits of every position. */
export const decoderAnswers =
  (options: { readonly threads: number; readonly headSize: number }): AnswersOf =>
  async (place) => {
    const graph = gatherLogitsRows(readFileSync(place.graph));
    const session = await GraphSession.open(graph, [], { ...place, ...options });
    const feeds = session.feeds(new Map());
    const logits = await session.logitsOf(feeds, proofIds, [...proofIds.keys()]);
    feeds.release();
    session.release();
    return logits;
  };

/**
 * Proves that a graph on its prepared weights gives the same answers, bit for bit, as the graph that was exported:
 * kernels differ in what they make of packed weights, and a wrong layout is no error to ONNX Runtime.
 *
 * Errors: an Error when they differ or are not finite.
 */
export const provePrepared = async (model: string, folder: string, answersOf: AnswersOf): Promise<void> => {
  const exported = await answersOf({ graph: model, weightsFolder: dirname(model), optimised: false });
  const graph = join(folder, preparedFiles.graph);
  const prepared = await answersOf({ graph, weightsFolder: folder, optimised: true });
  const same =
    prepared.length === exported.length &&
    prepared.every((value, index) => Number.isFinite(value) && Object.is(value, exported[index]));
  if (!same) throw new Error(`the prepared weights of ${model} do not give the answers of the model`);
};
