import { basename, dirname } from 'node:path';
import { readGraph } from '../onnx/graph.ts';
import { productsOf } from '../onnx/own-products.ts';
import { joinPositionTables } from '../onnx/position-tables.ts';
import { findOperator } from '../ort/operator.ts';
import {
  areFaster,
  areKnownFaster,
  type ProductsTimes,
  timesByTurns,
  timesText,
} from '../proofs/products-times.ts';
import { type GraphPlace, openDecoder, openEncoder, proofAnswers } from '../proofs/prove-prepared.ts';
import { refusedGraph, refusedProduct } from '../proofs/prove-products.ts';
import { endWithParent } from './lifetime.ts';
import { packProducts } from './own-products.ts';
import { openPrepared } from './prepared-graph.ts';
import { onceDeleted, type ProductsVerdict, writeVerdict } from './products-verdict.ts';
import { readServed } from './read-served.ts';

/**
 * A process of its own that compares the products of the native operator with ONNX Runtime's, linear by linear, and the whole graph:
 * `node products-process.ts MODEL.onnx FOLDER THREADS HEAD_SIZE TASK OPERATOR LEVEL [WINDOWS]`. It loads the model twice, and writes what it
 * finds beside the prepared graph. Where an instruction set was not measured to be faster, it measures both.
 */
endWithParent();
const [, , model = '', folder = '', ...rest] = process.argv;
const [threads = '1', headSize = '1', task = 'generate', path = '', level = '', windows] = rest;
const operator = findOperator(path, (message) => {
  throw new Error(message);
});
const own = operator?.products;
if (operator === undefined || own?.levels.includes(level) !== true)
  throw new Error(`the operator has no products of ${level} for this processor`);
const exported = readServed(model, windows);
const { tables } = joinPositionTables(readGraph(exported)) ?? {};
const openWith = (count: number) => {
  const options = { threads: count, operator };
  return task === 'embed'
    ? openEncoder(options)
    : openDecoder({ ...options, headSize: Number(headSize), tables });
};
const say = (what: string): void => void process.stdout.write(`${what}\n`);

const { graph, weights } = openPrepared(folder, model);
const linears = productsOf(readGraph(graph));
const location = basename(model);
const weightsFolder = dirname(model);
const products = { ...own, levels: [level] as const };
const { packed, toOwn } = await packProducts(graph, weights, { products, location });
const over = { weights, weightsFolder, optimised: true };
const theirs: GraphPlace = { ...over, graph };
const ours: GraphPlace = { ...over, graph: toOwn(graph) };

const refusal = async (): Promise<string | undefined> => {
  say(`comparing ${linears.length} linears of the native operator with those of ONNX Runtime, once`);
  const place = { graph: readGraph(graph), weights, packed, location, level, weightsFolder };
  const answersOf = proofAnswers(openWith(Number(threads)));
  return (
    (await refusedProduct(linears, place, { threads: Number(threads), operator })) ??
    refusedGraph(await answersOf(theirs), await answersOf(ours))
  );
};

const measured = async (): Promise<ProductsTimes | undefined> => {
  say(`measuring whether linears of the native operator are faster by ${level}, once`);
  const open = openWith(1);
  const pair = { ours: await open(ours), theirs: await open(theirs) };
  const times = await timesByTurns(pair, () => {
    const { user, system } = process.cpuUsage();
    return user + system;
  });
  pair.ours.release();
  pair.theirs.release();
  return times;
};

const verdict = async (): Promise<ProductsVerdict> => {
  const refused = await refusal();
  if (refused !== undefined) return { refused };
  if (areKnownFaster(level, linears)) return {};
  const times = await measured();
  const again = onceDeleted(folder, { digest: operator.digest, level });
  if (times === undefined)
    return { refused: `processor time is too coarse to measure those of ${level}; ${again}` };
  if (areFaster(times)) return { times };
  return { times, refused: `those of ${level} are slower, or alike: ${timesText(times)}; ${again}` };
};

await writeVerdict(folder, { digest: operator.digest, level }, await verdict());
