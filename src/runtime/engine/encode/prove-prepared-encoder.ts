import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { preparedFiles } from '../session/prepared-files.ts';
import { type EncoderGraphOptions, EncoderSession } from './encoder-session.ts';

/** Token ids that every vocabulary has. */
const ids = [3, 5, 7, 11, 13, 17];

const outputOf = async (graph: string, options: EncoderGraphOptions): Promise<Float32Array> => {
  const session = await EncoderSession.open(readFileSync(graph), [], options);
  const feeds = session.feeds(new Map());
  const output = await session.logitsOf(feeds, ids);
  feeds.release();
  session.release();
  return output;
};

/**
 * Proves that an encoder on its prepared weights gives the same states, bit for bit, as the graph that was exported.
 * Errors: an Error when they differ or are not finite.
 */
export const provePreparedEncoder = async (model: string, folder: string, threads: number): Promise<void> => {
  const exported = await outputOf(model, { weightsFolder: dirname(model), optimised: false, threads });
  const graph = join(folder, preparedFiles.graph);
  const prepared = await outputOf(graph, { weightsFolder: folder, optimised: true, threads });
  const same =
    prepared.length === exported.length &&
    prepared.every((value, index) => Number.isFinite(value) && Object.is(value, exported[index]));
  if (!same) throw new Error(`the prepared weights of ${model} do not give the answers of the model`);
};
