import { existsSync, readFileSync } from 'node:fs';
import { open, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { alignWeights, type Move } from '../onnx/align-weights.ts';
import { readGraph } from '../onnx/graph.ts';
import { joinPositionTables } from '../onnx/position-tables.ts';
import { withWholeCaches } from '../onnx/whole-caches.ts';
import { OnnxSession } from '../ort/session.ts';
import { decoderAnswers, encoderAnswers, provePrepared } from '../proofs/prove-prepared.ts';
import { sessionOptions } from '../session/runtime-options.ts';
import { preparedFiles } from './prepared-weights.ts';

/**
 * A process of its own that lets ONNX Runtime optimise a graph and write its weights in the layout of this processor:
 * `node prepare-process.ts MODEL.onnx FOLDER THREADS HEAD_SIZE TASK`. It needs twice the memory of the weights, which a long-lived
 * process would never give back.
 */
const [, , model = '', folder = '', threads = '1', headSize = '1', task = 'generate'] = process.argv;
const exported = withWholeCaches(readFileSync(model));
const joined = joinPositionTables(readGraph(exported));
const unaligned = { graph: join(folder, 'unaligned.onnx'), weights: 'unaligned.bin' };

const optimise = async (): Promise<void> => {
  const options = sessionOptions({ threads: Number(threads) }, 'all');
  const session = await OnnxSession.open(joined?.model ?? exported, {
    ...options,
    weightsFolder: dirname(model),
    optimisedFile: unaligned.graph,
    config: {
      ...options.config,
      'session.optimized_model_external_initializers_file_name': unaligned.weights,
      'session.optimized_model_external_initializers_min_size_in_bytes': '1024',
      'session.save_external_prepacked_constant_initializers': '1',
    },
  });
  session.release();
};

const copy = async (from: string, to: string, moves: readonly Move[]): Promise<void> => {
  await using source = await open(from, 'r');
  await using target = await open(to, 'wx');
  for (const move of moves) {
    const bytes = Buffer.alloc(move.length);
    await source.read(bytes, 0, move.length, move.from);
    await target.write(bytes, 0, move.length, move.to);
  }
  await target.sync();
};

await optimise();
const aligned = alignWeights(readFileSync(unaligned.graph), preparedFiles.weights);
await writeFile(join(folder, preparedFiles.graph), aligned.model, { flush: true });
const weights = join(folder, unaligned.weights);
// A graph whose weights are all tiny has no second file.
if (existsSync(weights)) await copy(weights, join(folder, preparedFiles.weights), aligned.moves);
await rm(weights, { force: true });
await rm(unaligned.graph);
const answersOf =
  task === 'embed'
    ? encoderAnswers(Number(threads))
    : decoderAnswers({ threads: Number(threads), headSize: Number(headSize), tables: joined?.tables });
await provePrepared(
  {
    exported: { graph: model, weightsFolder: dirname(model), optimised: false },
    prepared: { graph: join(folder, preparedFiles.graph), weightsFolder: folder, optimised: true },
  },
  answersOf,
);
