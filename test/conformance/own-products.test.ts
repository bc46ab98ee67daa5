import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { packProducts } from '../../src/runtime/engine/graphs/own-products.ts';
import { openPrepared } from '../../src/runtime/engine/graphs/prepared-graph.ts';
import { readGraph } from '../../src/runtime/engine/onnx/graph.ts';
import { productsOf, withOwnProducts } from '../../src/runtime/engine/onnx/own-products.ts';
import { decoderAnswers } from '../../src/runtime/engine/proofs/prove-prepared.ts';
import { refusedGraph, refusedProduct } from '../../src/runtime/engine/proofs/prove-products.ts';
import { allLogits, openModel, withLora } from './support/open-model.ts';
import { operator } from './support/operator.ts';
import { golden, sameBits, scratch, tinyModel } from './support/tiny.ts';

const location = 'model.onnx';
const weightsFolder = tinyModel('int4');

const ofTheOperator = () => {
  const cache = scratch();
  let folder = '';
  let verdict = '';
  let first: Awaited<ReturnType<typeof openModel>>;

  beforeAll(async () => {
    first = await openModel(weightsFolder, cache);
    const [name = ''] = readdirSync(join(cache, 'prepared'));
    folder = join(cache, 'prepared', name);
    verdict = join(folder, readdirSync(folder).find((file) => file.startsWith('products-')) ?? '');
  });
  afterAll(() => first.sessions.release());

  it('are used once they were found to be those of ONNX Runtime', () => {
    expect(first.warnings).toEqual([]);
    expect(JSON.parse(readFileSync(verdict, 'utf8'))).toEqual({});
  });

  it.each([1, 2])(
    'of the same x are in one node, with the bits of nodes of their own: %i threads',
    async (threads) => {
      const { graph, weights } = openPrepared(folder, join(weightsFolder, location));
      const products = operator?.products;
      if (products === undefined) throw new Error('no products');
      const { packed, toOwn } = await packProducts(graph, weights, { products, location });
      const together = toOwn(graph);
      const apart = [...packed].reduce(
        (model, one) => withOwnProducts(model, new Map([one]), location),
        graph,
      );
      const nodesOf = (model: Buffer): number => readGraph(model).nodes.length;
      expect(nodesOf(apart)).toBe(nodesOf(graph));
      expect(nodesOf(together)).toBeLessThan(nodesOf(graph));
      const answersOf = decoderAnswers({ threads, operator, headSize: 16, tables: undefined });
      const over = { weights, weightsFolder, optimised: true };
      const expected = await answersOf({ ...over, graph: apart });
      expect(sameBits(await answersOf({ ...over, graph: together }), expected)).toBe(true);
      weights.release();
    },
  );

  it('are refused where weights are those of another linear, or an answer is another one', async () => {
    const { graph, weights } = openPrepared(folder, join(weightsFolder, location));
    const products = productsOf(readGraph(graph));
    const { products: native } = operator ?? {};
    if (native === undefined) throw new Error('no products');
    const { packed } = await packProducts(graph, weights, { products: native, location });
    const place = { graph: readGraph(graph), weights, packed, location, weightsFolder };
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

  it('are left where they were refused, which is told: answers are those with ONNX Runtime’s', async () => {
    writeFileSync(verdict, JSON.stringify({ refused: 'a reason' }));
    const model = await openModel(weightsFolder, cache);
    expect(model.warnings).toEqual(["linears keep ONNX Runtime's products: a reason"]);
    const { products: _, ...withoutProducts } = operator!;
    const without = await openModel(weightsFolder, scratch(), {
      operator: withoutProducts,
    });
    const logitsOf = ({ sessions }: typeof model) =>
      allLogits(withLora(sessions.base), golden.prompts[0]!.input_ids);
    const expected = await logitsOf(without);
    expect(sameBits(await logitsOf(model), expected)).toBe(true);
    expect(sameBits(await logitsOf(first), expected)).toBe(false);
    for (const { sessions } of [model, without]) sessions.release();
  });
};

if (operator?.products !== undefined) describe('products of the native operator', ofTheOperator);
else
  it('are ONNX Runtime’s where the native operator has none for this processor', async () => {
    const own = scratch();
    const model = await openModel(weightsFolder, own);
    const [name = ''] = readdirSync(join(own, 'prepared'));
    const files = readdirSync(join(own, 'prepared', name));
    expect(files.filter((file) => file.startsWith('products-'))).toEqual([]);
    expect(model.warnings).toEqual([]);
    model.sessions.release();
  });
