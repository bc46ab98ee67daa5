import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { Site } from '../../compiled/compile-target.ts';
import { sitesWithWeights } from './base-weights.ts';
import { familyOf } from './families.ts';
import { handMade, llamaLayer, tinyModel, tinyModelFolder } from './graph.fixture.ts';
import { applyEdit, type Graph, type Node, readGraph } from './graph.ts';
import { type NewNode, nodeMessage } from './messages.ts';
import { attributeField, graphField, nodeField } from './schema.ts';
import { contentField } from './wire.ts';

const llama = familyOf('llama');
const exportsFolder = join(import.meta.dirname, '../../../../test/fixtures/exports');

/** Each If with a branch that uses the value which its name says, as only the branch itself says. */
const withBranches = (model: Buffer): Graph => {
  const graph = readGraph(model);
  const branchOf = (of: string): Buffer =>
    contentField(
      graphField.node,
      nodeMessage({ opType: 'Relu', name: 'inner', inputs: [of], outputs: ['inner'] }),
    );
  const nodes = graph.nodes
    .filter(({ opType }) => opType === 'If')
    .map((node): [Node, Buffer[]] => {
      const attribute = contentField(attributeField.graph, branchOf(node.name));
      return [node, [Buffer.concat([node.bytes, contentField(nodeField.attribute, attribute)])]];
    });
  const edit = { nodes: new Map(nodes), newInputs: [], staleShapes: new Set<string>(), outputs: new Map() };
  return readGraph(applyEdit(graph, edit));
};

const layer = 'model.layers.0';
const byName = (sites: readonly Site[]): ReadonlyMap<string, Site> =>
  new Map(
    sites
      .filter(({ module }) => module.startsWith(layer))
      .map((site) => [site.module.slice(layer.length + 1), site]),
  );

describe('of real exports', () => {
  it.each(['fp32', 'int4'] as const)(
    'the tiny model in %s adds nothing, and its MLP is gated',
    (precision) => {
      const folder = tinyModelFolder(precision);
      const pathOf = (location: string): string => join(folder, location);
      const sites = byName(sitesWithWeights(readGraph(tinyModel(precision)), llama, { pathOf }));
      for (const { added, outFeatures } of sites.values()) expect(added).toEqual([{ width: outFeatures }]);
      const factors = [...sites].filter(([, { inputFactor }]) => inputFactor !== undefined);
      expect(factors.map(([name, { inputFactor }]) => [name, inputFactor])).toEqual([
        ['mlp.down_proj', `${layer}.mlp.up_proj`],
      ]);
    },
  );

  it.each(['default', 'apart', 'optimum', 'int4-shared'])(
    'qwen2 exported as %s adds its biases to q, k and v',
    (how) => {
      const folder = join(exportsFolder, 'qwen2', how);
      const graph = join(folder, 'model.onnx');
      const pathOf = (location: string): string => join(folder, location);
      const model = readGraph(readFileSync(graph));
      const sites = byName(sitesWithWeights(model, familyOf('qwen2'), { pathOf, graph }));
      for (const [name, { added, outFeatures }] of sites) {
        const isBiased = /[qkv]_proj/.test(name);
        expect(
          added?.map(({ width, values }) => [width, values?.length]),
          name,
        ).toEqual([[outFeatures, isBiased ? 4 * outFeatures : undefined]]);
      }
      const [q, k] = ['q_proj', 'k_proj'].map((name) => sites.get(`self_attn.${name}`)?.added?.[0]?.values);
      expect(k).not.toEqual(q);
      expect(sites.get('mlp.down_proj')?.inputFactor).toBe(`${layer}.mlp.up_proj`);
    },
  );
});

describe('of graphs made by hand', () => {
  const { nodes, weights = {} } = llamaLayer(0);
  const up = '0.mlp/up_proj.out';
  const sites = (more: readonly NewNode[], outputs: readonly string[] = [], input = 'gated') =>
    byName(
      sitesWithWeights(
        withBranches(
          handMade({
            // 6 features are the inputs of the last linear, as up and gate give them.
            nodes: [
              ...nodes.filter(({ name }) => !name.includes('down_proj')),
              ...more,
              {
                ...nodes.find(({ name }) => name.includes('down_proj'))!,
                inputs: [input, '0.mlp/down_proj.weight'],
              },
            ],
            weights: { ...weights, '0.mlp/down_proj.weight': [6, 4], bias: [6], other: [4], scalar: [] },
            outputs,
          }),
        ),
        llama,
        { pathOf: (name) => name },
      ),
    );
  const node = (opType: string, inputs: readonly string[], outputs: readonly string[]): NewNode => ({
    opType,
    name: outputs.join(),
    inputs,
    outputs,
  });
  const branch = (of: string): NewNode => ({ ...node('If', ['x'], ['branched']), name: of });
  const gate = node('Sigmoid', ['0.mlp/gate_proj.out'], ['gate']);
  const gated = (of: string): NewNode => node('Mul', ['gate', of], ['gated']);
  const factorOf = (more: readonly NewNode[], outputs?: readonly string[], input?: string) =>
    sites(more, outputs, input).get('mlp.down_proj')?.inputFactor;
  const addedTo = (more: readonly NewNode[], outputs?: readonly string[]) =>
    sites([gate, gated(up), ...more], outputs).get('self_attn.q_proj')?.added;
  const q = '0.attn/q_proj.out';

  it('find what the input of a linear is made of', () => {
    expect(factorOf([gate, gated(up)])).toBe(`${layer}.mlp.up_proj`);
    expect(factorOf([gate, node('Add', [up, 'bias'], ['sum']), gated('sum')])).toBe(`${layer}.mlp.up_proj`);
  });

  it.each<[string, readonly NewNode[], string[]?, string?]>([
    ['a sum', [gate, node('Add', ['gate', up], ['gated'])]],
    ['a square', [node('Mul', [up, up], ['gated'])]],
    ['of something else as well', [gate, gated(up), node('Relu', [up], ['more'])]],
    ['an input of something else as well', [gate, gated(up), node('Relu', ['gated'], ['more'])]],
    ['an answer of the graph', [gate, gated(up)], ['gated']],
    ['made of one that is an answer', [gate, gated(up)], [up]],
    ['made of one with an activation', [gate, node('Relu', [up], ['active']), gated('active')]],
    ['of a branch as well', [gate, gated(up), branch(up)]],
    ['an input of the graph', [gate, gated(up)], [], 'x'],
  ])('find nothing where that is %s', (_, more, outputs, input) => {
    expect(factorOf(more, outputs, input)).toBeUndefined();
  });

  it('tell that nothing is added', () => {
    expect(addedTo([])).toEqual([{ width: 6 }]);
    expect(addedTo([node('Add', [q, 'x'], ['sum'])])).toEqual([{ width: 6 }]);
    expect(addedTo([node('Mul', [q, 'scalar'], ['scaled'])])).toEqual([{ width: 6 }]);
    expect(addedTo([node('SkipSimplifiedLayerNormalization', [q, 'x', 'bias'], ['normed'])])).toEqual([
      { width: 6 },
    ]);
  });

  it.each<[string, readonly NewNode[], string[]?]>([
    ['a bias without its values', [node('Add', [q, 'bias'], ['sum'])]],
    ['one value for all', [node('Add', [q, 'scalar'], ['sum'])]],
    ['a bias that is computed', [node('Relu', ['bias'], ['made']), node('Add', [q, 'made'], ['sum'])]],
    ['a bias for one of two uses', [node('Add', [q, 'bias'], ['sum']), node('Relu', [q], ['active'])]],
    ['a bias within a node', [node('FastGelu', [q, 'bias'], ['active'])]],
    [
      'a bias within a norm',
      [node('SkipSimplifiedLayerNormalization', [q, 'x', 'other', 'bias'], ['normed'])],
    ],
    ['what a branch may add to', [branch(q)]],
    ['an answer of the graph', [], [q]],
  ])('tell nothing of %s', (_, more, outputs) => {
    expect(addedTo(more, outputs)).toBeUndefined();
  });
});
