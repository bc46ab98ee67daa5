import { readFileSync } from 'node:fs';
import { basename, dirname } from 'node:path';
import { readGraph } from '../onnx/graph.ts';
import { type Windows, withMissingWindows } from '../onnx/missing-windows.ts';
import { productsOf } from '../onnx/own-products.ts';
import { joinPositionTables } from '../onnx/position-tables.ts';
import { withWholeCaches } from '../onnx/whole-caches.ts';
import { findOperator } from '../ort/operator.ts';
import { decoderAnswers, encoderAnswers } from '../proofs/prove-prepared.ts';
import { refusedGraph, refusedProduct } from '../proofs/prove-products.ts';
import { endWithParent } from './lifetime.ts';
import { packProducts, writeVerdict } from './own-products.ts';
import { openPrepared } from './prepared-graph.ts';

/**
 * A process of its own that compares the products of the native operator with ONNX Runtime's, linear by linear, and the whole graph:
 * `node products-process.ts MODEL.onnx FOLDER THREADS HEAD_SIZE TASK OPERATOR [WINDOWS]`. It loads the model twice, and writes what it
 * finds beside the prepared graph.
 */
endWithParent();
const [, , model = '', folder = '', threads = '1', headSize = '1', task = 'generate', path = '', windows] =
  process.argv;
const operator = findOperator(path, (message) => {
  throw new Error(message);
});
if (operator?.products === undefined) throw new Error('the operator has no products for this processor');
const options = { threads: Number(threads), operator };
const exported = withMissingWindows(
  withWholeCaches(readFileSync(model)),
  windows === undefined ? undefined : (JSON.parse(windows) as Windows),
);
const { tables } = joinPositionTables(readGraph(exported)) ?? {};
const answersOf =
  task === 'embed'
    ? encoderAnswers(options)
    : decoderAnswers({ ...options, headSize: Number(headSize), tables });

const { graph, weights } = openPrepared(folder, model);
const products = productsOf(readGraph(graph));
process.stdout.write(
  `comparing ${products.length} linears of the native operator with those of ONNX Runtime, once\n`,
);
const location = basename(model);
const weightsFolder = dirname(model);
const { packed, toOwn } = await packProducts(graph, weights, { products: operator.products, location });
const place = { graph: readGraph(graph), weights, packed, location, weightsFolder };
const over = { weights, weightsFolder, optimised: true };
const refused =
  (await refusedProduct(products, place, options)) ??
  refusedGraph(await answersOf({ ...over, graph }), await answersOf({ ...over, graph: toOwn(graph) }));
await writeVerdict(folder, operator.digest, refused === undefined ? {} : { refused });
