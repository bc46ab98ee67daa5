import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { externalWeights } from './external-weights.ts';
import { tinyModel } from './graph.fixture.ts';
import { applyEdit, type Graph, readGraph } from './graph.ts';
import {
  nodeMessage,
  renameOutput,
  valueInfoMessage,
  withDomain,
  withInput,
  withoutAttributes,
} from './messages.ts';
import { hasOwnProducts, mostTogether, type Product, productsOf, withOwnProducts } from './own-products.ts';
import { attributeField, graphField, nodeField, operatorDomain } from './schema.ts';
import { contentField } from './wire.ts';

const graph = readGraph(tinyModel('int4'));
const products = productsOf(graph);

const none = {
  nodes: new Map(),
  newInputs: [],
  staleShapes: new Set<string>(),
  outputs: new Map<string, Buffer>(),
};

/** The same with another node in place of the first product's. */
const changed = (bytes: (product: Product) => Buffer): Graph => {
  const [first] = products;
  if (first === undefined) throw new Error('no product');
  const nodes = new Map([[first.node, [bytes(first)]]]);
  return readGraph(applyEdit(graph, { ...none, nodes }));
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
    ['of another domain', ({ node }: Product) => withDomain(node, 'other')],
    ['in other blocks', ({ node }: Product) => withoutAttributes(node.bytes, ['block_size'])],
    ['with an order of groups', ({ node, scales }: Product) => withInput(node, 4, scales)],
    ['with a bias', ({ node, scales }: Product) => withInput(node, 5, scales)],
    ['whose scales are of another size', ({ node }: Product) => withInput(node, 2, products.at(-1)!.scales)],
    ['whose weights are computed', ({ node }: Product) => withInput(node, 1, 'computed')],
  ])('are not those %s', (_, bytes) => {
    expect(productsOf(changed(bytes))).toHaveLength(products.length - 1);
  });

  it('are not those whose weights a caller may give', () => {
    const [{ scales }] = products as [Product];
    const given = applyEdit(graph, { ...none, newInputs: [valueInfoMessage(scales, 1, ['n'])] });
    expect(productsOf(readGraph(given)).some((product) => product.scales === scales)).toBe(false);
  });
});

describe('a graph with products of its own', () => {
  const packed = new Map(
    products.map(({ key }, at) => [key, { name: `packed.${at}`, length: 64 * (at + 1) }]),
  );
  const location = 'model.onnx';
  const ownProducts = { packed, location, level: 'avx2' };
  const own = readGraph(withOwnProducts(graph.model, ownProducts));

  it('has the operator where ONNX Runtime had its own, one node for those of the same x, where the first was', () => {
    expect(productsOf(own)).toEqual([]);
    expect([graph, own].map(hasOwnProducts)).toEqual([false, true]);
    const byX = new Map<string, Product[]>();
    for (const product of products) {
      const x = product.node.inputs[0] ?? '';
      byX.set(x, [...(byX.get(x) ?? []), product]);
    }
    const groups = [...byX.values()];
    expect(groups.map(({ length }) => length)).toEqual(expect.arrayContaining([1, 2, 3]));
    const firsts = new Set(groups.map(([first]) => first?.node));
    const linears = new Set(products.map(({ node }) => node));
    expect(own.nodes.map(({ name }) => name)).toEqual(
      graph.nodes.filter((node) => firsts.has(node) || !linears.has(node)).map(({ name }) => name),
    );
    for (const group of groups) {
      const now = own.nodes.find(({ name }) => name === group[0]?.node.name);
      const packedOf = group.map(({ key }) => packed.get(key)?.name);
      expect(now?.inputs).toEqual([group[0]?.node.inputs[0], ...packedOf]);
      expect(now?.outputs).toEqual(group.map(({ node }) => node.outputs[0]));
    }
  });

  it('has a further node for linears of one x beyond those that a node takes', () => {
    const source = readFileSync(new URL('../../../../native/linear.c', import.meta.url), 'utf8');
    expect(source).toContain(`enum { maxLinears = ${mostTogether} };`);
    const [first] = products as [Product];
    const copies = Array.from({ length: mostTogether }, (_, at) => renameOutput(first.node, `copy.${at}`));
    const nodes = new Map([[first.node, [first.node.bytes, ...copies]]]);
    const many = readGraph(withOwnProducts(applyEdit(graph, { ...none, nodes }), ownProducts));
    const x = first.node.inputs[0] ?? '';
    const taking = many.nodes.filter(({ domain, inputs }) => domain === operatorDomain && inputs[0] === x);
    const all = products.filter(({ node }) => node.inputs[0] === x).length + mostTogether;
    expect(taking.map(({ outputs }) => outputs.length)).toEqual([mostTogether, all - mostTogether]);
    expect(new Set(taking.flatMap(({ outputs }) => outputs)).size).toBe(all);
  });

  it('has what is packed in place of weights that nothing else takes', () => {
    const names = externalWeights(own).map(({ name }) => name);
    expect(names).toEqual(expect.arrayContaining([...packed.values()].map(({ name }) => name)));
    for (const { scales } of products) expect(names).not.toContain(scales);
    expect(own.initializers.size).toBeLessThan(graph.initializers.size);
    const used = new Set(own.nodes.flatMap(({ inputs }) => inputs));
    for (const name of own.initializers.keys()) expect(used.has(name) || !names.includes(name)).toBe(true);
  });

  const [{ node, scales, values }] = products as [Product];
  const ownOf = (model: Buffer): Graph => readGraph(withOwnProducts(model, ownProducts));

  it('keeps weights that the graph gives, that a branch takes, and those that are the x of a linear', () => {
    const given = applyEdit(graph, { ...none, newOutputs: [valueInfoMessage(scales, 1, ['n'])] });
    expect(ownOf(given).initializers.has(scales)).toBe(true);

    const inner = nodeMessage({ opType: 'Identity', name: 'i', inputs: [scales], outputs: ['z'] });
    const branch = contentField(attributeField.graph, contentField(graphField.node, inner));
    const outer = nodeMessage({ opType: 'If', name: 'if', inputs: ['c'], outputs: ['zz'] });
    const choice = Buffer.concat([outer, contentField(nodeField.attribute, branch)]);
    const branching = applyEdit(graph, { ...none, nodes: new Map([[node, [node.bytes, choice]]]) });
    expect(ownOf(branching).initializers.has(scales)).toBe(true);
    expect(ownOf(branching).initializers.has(values)).toBe(false);

    expect(ownOf(changed((first) => withInput(first.node, 0, scales)).model).initializers.has(scales)).toBe(
      true,
    );
  });

  it('keeps what is not packed', () => {
    const one = new Map([...packed].slice(0, 1));
    const partly = readGraph(withOwnProducts(graph.model, { ...ownProducts, packed: one }));
    expect(productsOf(partly)).toHaveLength(products.length - 1);
    expect(hasOwnProducts(partly)).toBe(false);
    expect(partly.initializers.has(products[1]!.values)).toBe(true);
  });
});
