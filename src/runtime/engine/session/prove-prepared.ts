import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { gatherLogitsRows } from '../onnx/logits-rows.ts';
import { GraphSession } from './graph-session.ts';
import { preparedFiles } from './prepared-files.ts';

/** Token ids that every vocabulary has. */
const ids = [3, 5, 7, 11, 13, 17];

type Place = { readonly graph: string; readonly weightsFolder: string; readonly optimised: boolean };

const logitsOf = async (
  place: Place,
  options: { threads: number; headSize: number },
): Promise<Float32Array> => {
  const session = await GraphSession.open(gatherLogitsRows(readFileSync(place.graph)), [], {
    ...place,
    ...options,
  });
  const feeds = session.feeds(new Map());
  const logits = await session.logitsOf(feeds, ids, [...ids.keys()]);
  feeds.release();
  session.release();
  return logits;
};

/**
 * Proves that a graph on its prepared weights gives the same logits, bit for bit, as the graph that was exported:
 * kernels differ in what they make of packed weights, and a wrong layout is no error to ONNX Runtime.
 *
 * Errors: an Error when they differ or are not finite.
 */
export const provePrepared = async (
  model: string,
  folder: string,
  options: { readonly threads: number; readonly headSize: number },
): Promise<void> => {
  const exported = await logitsOf({ graph: model, weightsFolder: dirname(model), optimised: false }, options);
  const graph = join(folder, preparedFiles.graph);
  const prepared = await logitsOf({ graph, weightsFolder: folder, optimised: true }, options);
  const same =
    prepared.length === exported.length &&
    prepared.every((logit, index) => Number.isFinite(logit) && Object.is(logit, exported[index]));
  if (!same) throw new Error(`the prepared weights of ${model} do not give the answers of the model`);
};
