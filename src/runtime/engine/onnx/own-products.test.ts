import { describe, expect, it } from 'vitest';
import { externalWeights } from './external-weights.ts';
import { tinyModel } from './graph.fixture.ts';
import { applyEdit, type Graph, readGraph } from './graph.ts';
import { withInput, withoutAttributes } from './messages.ts';
import { type Product, productsOf, withOwnProducts } from './own-products.ts';

const graph = readGraph(tinyModel('int4'));
const products = productsOf(graph);

/** The same with another node in place of the first product's. */
const changed = (bytes: (product: Product) => Buffer): Graph => {
  const [first] = products;
  if (first === undefined) throw new Error('no product');
  const nodes = new Map([[first.node, [bytes(first)]]]);
  const none = { newInputs: [], staleShapes: new Set<string>(), outputs: new Map<string, Buffer>() };
  return readGraph(applyEdit(graph, { nodes, ...none }));
};

describe('products of a graph', () => {
  it('are its linears in 4 bits, with their weights', () => {
    const linears = graph.nodes.filter(({ opType }) => opType === 'MatMulNBits');
    expect(products.map(({ node }) => node)).toEqual(linears);
    expect(products.map(({ bits }) => bits)).toEqual(products.map(() => 4));
    for (const { node, inFeatures, outFeatures, values } of products) {
      expect(node.inputs[1]).toBe(values);
      expect([inFeatures % 32, outFeatures > 0]).toEqual([0, true]);
    }
  });

  it.each([
    ['with exact activations', ({ node }: Product) => withoutAttributes(node.bytes, ['accuracy_level'])],
    ['in other blocks', ({ node }: Product) => withoutAttributes(node.bytes, ['block_size'])],
    ['with an order of groups', ({ node, scales }: Product) => withInput(node, 4, scales)],
    ['with a bias', ({ node, scales }: Product) => withInput(node, 5, scales)],
    ['whose scales are of another size', ({ node }: Product) => withInput(node, 2, products.at(-1)!.scales)],
    ['whose weights are computed', ({ node }: Product) => withInput(node, 1, 'computed')],
  ])('are not those %s', (_, bytes) => {
    expect(productsOf(changed(bytes))).toHaveLength(products.length - 1);
  });
});

describe('a graph with products of its own', () => {
  const packed = new Map(
    products.map(({ key }, at) => [key, { name: `packed.${at}`, length: 64 * (at + 1) }]),
  );
  const own = readGraph(withOwnProducts(graph.model, packed, 'model.onnx'));

  it('has the operator where ONNX Runtime had its own, of the same x and y', () => {
    expect(productsOf(own)).toEqual([]);
    expect(own.nodes.map(({ name, outputs }) => [name, outputs])).toEqual(
      graph.nodes.map(({ name, outputs }) => [name, outputs]),
    );
    for (const [at, { node }] of products.entries()) {
      const now = own.nodes.find(({ name }) => name === node.name);
      expect(now?.inputs).toEqual([node.inputs[0], `packed.${at}`]);
    }
  });

  it('has what is packed in place of weights that nothing else takes', () => {
    const names = externalWeights(own).map(({ name }) => name);
    expect(names).toEqual(expect.arrayContaining([...packed.values()].map(({ name }) => name)));
    for (const { scales } of products) expect(names).not.toContain(scales);
    expect(own.initializers.size).toBeLessThan(graph.initializers.size);
    const used = new Set(own.nodes.flatMap(({ inputs }) => inputs));
    for (const name of own.initializers.keys()) expect(used.has(name) || !names.includes(name)).toBe(true);
  });

  it('keeps what is not packed', () => {
    const one = new Map([...packed].slice(0, 1));
    const partly = readGraph(withOwnProducts(graph.model, one, 'model.onnx'));
    expect(productsOf(partly)).toHaveLength(products.length - 1);
    expect(partly.initializers.has(products[1]!.values)).toBe(true);
  });
});
