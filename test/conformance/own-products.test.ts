import { execFile } from 'node:child_process';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ownProducts, packProducts } from '../../src/runtime/engine/graphs/own-products.ts';
import { openPrepared } from '../../src/runtime/engine/graphs/prepared-graph.ts';
import {
  type ProductsVerdict,
  readVerdict,
  writeVerdict,
} from '../../src/runtime/engine/graphs/products-verdict.ts';
import { readGraph } from '../../src/runtime/engine/onnx/graph.ts';
import { hasOwnProducts, productsOf, withOwnProducts } from '../../src/runtime/engine/onnx/own-products.ts';
import { areFaster, areKnownFaster, timesText } from '../../src/runtime/engine/proofs/products-times.ts';
import { openDecoder, proofAnswers } from '../../src/runtime/engine/proofs/prove-prepared.ts';
import { refusedGraph, refusedProduct } from '../../src/runtime/engine/proofs/prove-products.ts';
import { systemClock } from '../../src/time/clock.ts';
import { folderOfFile, folderOfTests } from '../support/temporary-folder.ts';
import { allLogits, openModel, withLora } from './support/open-model.ts';
import { operator } from './support/operator.ts';
import { golden, sameBits, tinyModel } from './support/tiny.ts';

const location = 'model.onnx';
const weightsFolder = tinyModel('int4');
const headSize = 16;
const program = fileURLToPath(
  new URL('../../src/runtime/engine/graphs/products-process.ts', import.meta.url),
);

/** The operator with one of its instruction sets. */
const using = (level: string) => {
  if (operator?.products === undefined) throw new Error('no products');
  return { ...operator, products: { ...operator.products, levels: [level] as const } };
};

/** The folder of the only prepared graph in a cache. */
const preparedIn = (cache: string): string => {
  const [name = ''] = readdirSync(join(cache, 'prepared'));
  return join(cache, 'prepared', name);
};

const levels: readonly string[] = operator?.products?.levels ?? [];
const [best = ''] = levels;

describe.each(levels)('products of the native operator by %s', (level) => {
  const own = using(level);
  const cache = folderOfTests();
  let folder = '';

  beforeAll(async () => {
    const { sessions } = await openModel(weightsFolder, cache);
    sessions.release();
    folder = preparedIn(cache);
  });

  const packedBy = async (which: string) => {
    const { graph, weights } = openPrepared(folder, join(weightsFolder, location));
    const packed = await packProducts(graph, weights, { products: using(which).products, location });
    return { graph, weights, ...packed };
  };

  it.each([1, 2])(
    'of the same x are in one node, with the bits of nodes of their own and of the best instruction set: %i threads',
    async (threads) => {
      const { graph, weights, packed, toOwn } = await packedBy(level);
      const together = toOwn(graph);
      const apart = [...packed].reduce(
        (model, one) => withOwnProducts(model, { packed: new Map([one]), location, level }),
        graph,
      );
      const nodesOf = (model: Buffer): number => readGraph(model).nodes.length;
      expect(nodesOf(apart)).toBe(nodesOf(graph));
      expect(nodesOf(together)).toBeLessThan(nodesOf(graph));
      const answersOf = proofAnswers(openDecoder({ threads, operator, headSize, tables: undefined }));
      const over = { weights, weightsFolder, optimised: true };
      const expected = await answersOf({ ...over, graph: apart });
      expect(sameBits(await answersOf({ ...over, graph: together }), expected)).toBe(true);
      weights.release();
      const others = await packedBy(best);
      const byBest = { ...over, weights: others.weights, graph: others.toOwn(others.graph) };
      expect(sameBits(await answersOf(byBest), expected)).toBe(true);
      others.weights.release();
    },
  );

  it('are refused where weights are those of another linear, or an answer is another one', async () => {
    const { graph, weights, packed } = await packedBy(level);
    const products = productsOf(readGraph(graph));
    const place = { graph: readGraph(graph), weights, packed, location, level, weightsFolder };
    const options = { threads: 1, operator };
    expect(await refusedProduct(products, place, options)).toBeUndefined();
    const [one, other] = products.filter(
      ({ inFeatures, outFeatures }) => inFeatures === 64 && outFeatures === 64,
    );
    const swapped = new Map([...packed, [one!.key, packed.get(other!.key)!]]);
    const refused = await refusedProduct(products, { ...place, packed: swapped }, options);
    expect(refused).toContain(`a column of ${one!.node.name} differs by `);
    weights.release();
    const answer = Float32Array.from([1, -2, 3]);
    expect(refusedGraph(answer, Float32Array.from([1, -2, 3.1]))).toBeUndefined();
    expect(refusedGraph(answer, Float32Array.from([1, -2, 4]))).toContain('differ by');
    expect(refusedGraph(answer, Float32Array.from([1, Number.NaN, 3]))).toContain('differ by');
    expect(refusedGraph(answer, answer.slice(1))).toContain('differ by');
  });

  it('are measured beside ONNX Runtime’s where they are not known to be faster, which decides', async () => {
    const model = join(weightsFolder, location);
    const args = [program, model, folder, '1', String(headSize), 'generate', own.path, level];
    await promisify(execFile)(process.execPath, args);
    const { refused, times } = readVerdict(folder, { digest: own.digest, level }) ?? {};
    expect(times === undefined).toBe(areKnownFaster(level));
    if (times === undefined || areFaster(times)) expect(refused).toBeUndefined();
    else
      expect(refused).toContain(
        `those of ${level} are slower, or alike: ${timesText(times)}; they are compared again`,
      );
  });

  /** Answers by what was found of them, of a model in which they are measured if it has so many bytes of them. */
  const servedBy = async (verdict: ProductsVerdict, leastMeasured?: number) => {
    await writeVerdict(folder, { digest: own.digest, level }, verdict);
    const exported = join(weightsFolder, location);
    const { graph, weights } = openPrepared(folder, exported);
    const warnings: string[] = [];
    const toOwn = await ownProducts(
      folder,
      { graph, weights },
      {
        exported,
        operator: own,
        cacheDir: cache,
        threads: 1,
        headSize,
        clock: systemClock,
        signal: new AbortController().signal,
        doing: () => undefined,
        warn: (message) => warnings.push(message),
        ...(leastMeasured === undefined ? {} : { leastMeasured }),
      },
    );
    const served = toOwn(graph);
    const answersOf = proofAnswers(openDecoder({ threads: 1, operator, headSize, tables: undefined }));
    const answers = await answersOf({ weights, weightsFolder, optimised: true, graph: served });
    weights.release();
    return { warnings, linears: hasOwnProducts(readGraph(served)), answers };
  };
  const alike = { ratio: 1, faster: 0, slower: 0 };
  const measured = { times: { token: alike, piece: alike } };

  it('serve where they were found to be faster, and not where they were refused, which is told', async () => {
    const served = await servedBy(measured, 1);
    expect(served).toMatchObject({ warnings: [], linears: true });
    const refused = await servedBy({ ...measured, refused: 'a reason' }, 1);
    const warnings = ["linears keep ONNX Runtime's products: a reason"];
    expect(refused).toMatchObject({ warnings, linears: false });
    expect(sameBits(served.answers, refused.answers)).toBe(false);
    expect(refusedGraph(refused.answers, served.answers)).toBeUndefined();
  });

  it('serve in a small model only where they are known to be faster', async () => {
    expect(await servedBy(measured)).toMatchObject({ warnings: [], linears: areKnownFaster(level) });
  });
});

describe.runIf(areKnownFaster(best))('products of the native operator that are known to be faster', () => {
  const cache = folderOfTests();
  let verdict = '';
  let first: Awaited<ReturnType<typeof openModel>>;

  beforeAll(async () => {
    first = await openModel(weightsFolder, cache);
    const folder = preparedIn(cache);
    verdict = join(folder, readdirSync(folder).find((file) => file.startsWith('products-')) ?? '');
  });
  afterAll(() => first.sessions.release());

  it('are used once they were found to be those of ONNX Runtime', () => {
    expect(first.warnings).toEqual([]);
    expect(first.info.native).toEqual({ attention: true, linears: true });
    expect(JSON.parse(readFileSync(verdict, 'utf8'))).toEqual({});
  });

  it('are left where they were refused, which is told: answers are those with ONNX Runtime’s', async () => {
    writeFileSync(verdict, JSON.stringify({ refused: 'a reason' }));
    const model = await openModel(weightsFolder, cache);
    expect(model.warnings).toEqual(["linears keep ONNX Runtime's products: a reason"]);
    expect(model.info.native).toEqual({ attention: true, linears: false });
    const { products: _, ...withoutProducts } = operator!;
    const without = await openModel(weightsFolder, folderOfFile(), {
      operator: withoutProducts,
    });
    const logitsOf = ({ sessions }: typeof model) =>
      allLogits(withLora(sessions.base), golden.prompts[0]!.input_ids);
    const expected = await logitsOf(without);
    expect(sameBits(await logitsOf(model), expected)).toBe(true);
    expect(sameBits(await logitsOf(first), expected)).toBe(false);
    for (const { sessions } of [model, without]) sessions.release();
  });
});

const isOnnxRuntimes = async (wish: Parameters<typeof openModel>[2]): Promise<void> => {
  const own = folderOfFile();
  const model = await openModel(weightsFolder, own, wish);
  expect(readdirSync(preparedIn(own)).filter((file) => file.startsWith('products-'))).toEqual([]);
  expect(model.warnings).toEqual([]);
  model.sessions.release();
};

if (levels.length === 0)
  it('products are ONNX Runtime’s where the native operator has none for this processor', () =>
    isOnnxRuntimes({}));

it.each(levels.filter((level) => !areKnownFaster(level)))(
  'products are ONNX Runtime’s in a model too small to measure, where the best are by %s',
  (level) => isOnnxRuntimes({ operator: using(level) }),
);
