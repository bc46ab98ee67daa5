import { dirname, join } from 'node:path';
import { readGraph } from '../onnx/graph.ts';
import { growthOfHalves } from '../onnx/in-float32.ts';
import { gatherLogitsRows } from '../onnx/logits-rows.ts';
import { joinPositionTables, type PositionTables } from '../onnx/position-tables.ts';
import { openDecoder, openEncoder, proofAnswers, provePrepared } from '../proofs/prove-prepared.ts';
import { endWithParent } from './lifetime.ts';
import { moveConstants } from './move-constants.ts';
import { openPrepared, preparedFiles } from './prepared-graph.ts';
import { readServed } from './read-served.ts';

/**
 * A process of its own that lets ONNX Runtime optimise a graph, and proves that what it made gives the answers of the
 * model: `node prepare-process.ts MODEL.onnx FOLDER THREADS HEAD_SIZE TASK [WINDOWS]`. It loads the model twice, which a long-lived
 * process would never give back. It says what it does, a line each.
 */
endWithParent();
const [, , model = '', folder = '', threads = '1', headSize = '1', task = 'generate', windows] = process.argv;
const say = (what: string): void => void process.stdout.write(`${what}\n`);
const exported = readServed(model, windows);
const joined = joinPositionTables(readGraph(exported));
const weightsFolder = dirname(model);
const optimisedFile = join(folder, preparedFiles.graph);
const answersOf = (tables: PositionTables | undefined) =>
  proofAnswers(
    task === 'embed'
      ? openEncoder({ threads: Number(threads) })
      : openDecoder({ threads: Number(threads), headSize: Number(headSize), tables }),
  );
const base = (graph: Buffer): Buffer => (task === 'embed' ? graph : gatherLogitsRows(graph));
const asExported = { weightsFolder, optimised: false };

say('optimising its graph for this machine, once');
const whole = joined?.model ?? exported;
const answers = await answersOf(joined?.tables)({
  ...asExported,
  graph: base(whole),
  optimisedFile,
  // All that is widened becomes a constant.
  optimisedWeights: growthOfHalves(readGraph(exported)) > 0 ? preparedFiles.beside : undefined,
});
// What was joined has to give the answers of what it was.
const expected =
  joined === undefined ? answers : await answersOf(undefined)({ ...asExported, graph: base(exported) });
moveConstants(folder, { exported: { model: readGraph(exported), path: model }, say });
say('comparing the optimised graph with the model, once');
const prepared = { ...openPrepared(folder, model), weightsFolder, optimised: true };
provePrepared(expected, await answersOf(joined?.tables)(prepared), model);
