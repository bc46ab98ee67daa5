import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { fixtureGraph } from '../../../../test/support/fixture-models.ts';
import { AdaptletError } from '../../../errors/adaptlet-error.ts';
import { familyOf } from './families.ts';
import { handMade, llamaLayer, tinyModel } from './graph.fixture.ts';
import { inputShape, readGraph } from './graph.ts';
import { inject } from './inject.ts';
import { lengthUseOf } from './lengths.ts';
import { inputOf } from './lora-nodes.ts';
import { withMissingWindows } from './missing-windows.ts';
import { joinPositionTables } from './position-tables.ts';
import { checkSoftCapping } from './soft-capping.ts';
import { withWholeCaches } from './whole-caches.ts';
import { readFields, textOf } from './wire.ts';

const llama = familyOf('llama');
const refused = (code: string, text: RegExp) =>
  expect.objectContaining({ code, message: expect.stringMatching(text) });

/** A layer with q, k and v in one node and gate and up in another; o and down take 4 features. */
const fusedLayer = (qkv: number, gateUp: number): Buffer => {
  const { nodes, weights } = llamaLayer(0);
  const [q, , , o, gate, , down] = nodes;
  const fused = [
    { ...q!, name: '/model/layers.0/attn/qkv_proj/MatMul', inputs: ['x', 'qkv'] },
    o!,
    { ...gate!, name: '/model/layers.0/mlp/gate_up_proj/MatMul', inputs: ['x', 'gateUp'] },
    down!,
  ];
  return handMade({ nodes: fused, weights: { ...weights, qkv: [4, qkv], gateUp: [4, gateUp] } });
};

describe('injecting LoRA into a graph', () => {
  it('gives the inputs of a pair a rank of their own', () => {
    const module = 'model.layers.1.self_attn.v_proj';
    const { model } = inject(tinyModel('fp32'), llama);
    const shapes = (['A', 'B'] as const).map((half) => inputShape(readGraph(model), inputOf(module, half)));
    expect(shapes).toEqual([
      [`${module}.rank`, 64],
      [`${module}.rank`, 32],
    ]);
  });

  it.each(['fp32', 'int4'] as const)(
    'finds the 14 linears of the tiny %s model under their PEFT names',
    (precision) => {
      const { sites } = inject(tinyModel(precision), llama);
      expect(sites).toHaveLength(14);
      expect(sites).toContainEqual({
        module: 'model.layers.0.self_attn.q_proj',
        inFeatures: 64,
        outFeatures: 64,
      });
      expect(sites).toContainEqual({
        module: 'model.layers.1.self_attn.v_proj',
        inFeatures: 64,
        outFeatures: 32,
      });
      expect(sites).toContainEqual({
        module: 'model.layers.1.mlp.down_proj',
        inFeatures: 128,
        outFeatures: 64,
      });
    },
  );

  it('leaves every other node as it was, byte for byte', () => {
    const before = readGraph(tinyModel('int4'));
    const after = readGraph(inject(tinyModel('int4'), llama).model);
    const bytes = new Set(after.nodes.map((node) => node.bytes.toString('base64')));
    const changed = before.nodes.filter((node) => !bytes.has(node.bytes.toString('base64')));
    expect(changed).toHaveLength(14);
    expect(after.nodes).toHaveLength(before.nodes.length + 3 * 14);
    expect([...after.initializers]).toEqual([...before.initializers]);
    expect(after.inputs.slice(0, before.inputs.length)).toEqual(before.inputs);
    expect(after.inputs).toHaveLength(before.inputs.length + 28);
  });

  it('says the dimensions of the sums', () => {
    const graph = readGraph(inject(tinyModel('fp32'), llama).model);
    expect(inputShape(graph, 'input_ids')).toEqual(['batch_size', 'sequence_length']);
    expect(inputShape(graph, 'nothing')).toBeUndefined();
  });

  it("imports ONNX Runtime's operators when the model does not", () => {
    const { model } = inject(handMade(llamaLayer(0)), llama);
    const opsets = readFields(model).filter((field) => field.number === 8);
    expect(opsets).toHaveLength(1);
    expect(opsets.map((field) => textOf(model, field)).join()).toContain('com.microsoft');
    const again = inject(tinyModel('fp32'), llama).model;
    const before = readFields(tinyModel('fp32')).filter((field) => field.number === 8).length;
    expect(readFields(again).filter((field) => field.number === 8)).toHaveLength(before);
  });

  it.each([
    ['the suffix of a quantiser', 'attn', '_Q4G32'],
    ['the block name of another exporter', 'self_attn', ''],
  ])('maps a node with %s', (_, block, suffix) => {
    const { sites } = inject(handMade(llamaLayer(0, block, suffix)), llama);
    expect(sites.map((site) => site.module)).toContain('model.layers.0.self_attn.o_proj');
  });

  it('reads the features of a Gemm from its weight and transB', () => {
    const layer = llamaLayer(0);
    const nodes = layer.nodes.map((node) => ({ ...node, opType: 'Gemm', attributes: { transB: 1 } }));
    const { sites } = inject(handMade({ ...layer, nodes }), llama);
    expect(sites[0]).toMatchObject({ inFeatures: 6, outFeatures: 4 });
  });

  it('lists the linears that exist when none maps', () => {
    const nodes = [{ opType: 'MatMul', name: '/encoder/0/query', inputs: ['x', 'w'], outputs: ['y'] }];
    expect(() => inject(handMade({ nodes, weights: { w: [2, 2] } }), llama)).toThrow(
      refused('MODEL_UNSUPPORTED', /No node.*llama.*\/encoder\/0\/query/),
    );
  });

  it('gives q, k and v their columns of a fused node, and takes gate and up from one', () => {
    const { model, sites } = inject(fusedLayer(8, 8), llama);
    const features = Object.fromEntries(sites.map((site) => [site.module.slice(15), site.outFeatures]));
    expect(features).toMatchObject({ 'self_attn.q_proj': 4, 'self_attn.k_proj': 2, 'self_attn.v_proj': 2 });
    expect(features).toMatchObject({ 'mlp.gate_proj': 4, 'mlp.up_proj': 4 });
    const { nodes } = readGraph(model);
    const concat = nodes.find(({ name }) => name === 'lora./model/layers.0/attn/qkv_proj/MatMul.concat');
    expect(concat?.inputs).toEqual(
      ['q', 'k', 'v'].map((part) => `lora.model.layers.0.self_attn.${part}_proj.delta`),
    );
  });

  it.each([
    ['leave halves to k and v', 7, 8, /qkv_proj\/MatMul has 7 columns; q, k, v would take 4 \+ 1\.5 \+ 1\.5/],
    ['leave nothing to k and v', 4, 8, /has 4 columns; q, k, v would take 4 \+ 0 \+ 0/],
    ['are not shared evenly by the heads', 10, 8, /has 10 columns; q, k, v would take 4 \+ 3 \+ 3/],
    [
      'are more than gate and up take',
      8,
      9,
      /gate_up_proj\/MatMul has 9 columns; gate, up would take 4 \+ 4/,
    ],
  ])('refuses a fused node whose columns %s', (_, qkv, gateUp, text) => {
    expect(() => inject(fusedLayer(qkv, gateUp), llama)).toThrow(refused('MODEL_UNSUPPORTED', text));
  });

  it("splits what phi3's fused module adds where its nodes are apart", () => {
    const { sites, model } = inject(handMade(llamaLayer(0)), familyOf('phi3'));
    expect(sites.map(({ module, outFeatures }) => [module, outFeatures])).toEqual([
      ['model.layers.0.self_attn.qkv_proj', 18],
      ['model.layers.0.self_attn.o_proj', 6],
      ['model.layers.0.mlp.gate_up_proj', 12],
      ['model.layers.0.mlp.down_proj', 6],
    ]);
    const split = readGraph(model).nodes.filter(({ opType }) => opType === 'Split');
    expect(split.map(({ outputs }) => outputs.length)).toEqual([3, 2]);
  });

  it('refuses a fused module whose nodes take different inputs', () => {
    const { nodes, weights } = llamaLayer(0);
    const apart = nodes.map((node, index) =>
      index === 1 ? { ...node, inputs: ['z', ...node.inputs.slice(1)] } : node,
    );
    expect(() => inject(handMade({ nodes: apart, weights: weights ?? {} }), familyOf('phi3'))).toThrow(
      refused(
        'MODEL_UNSUPPORTED',
        /qkv_proj has no one input: .*q_proj\/MatMul takes x, .*k_proj\/MatMul takes z/,
      ),
    );
  });

  it('says what a layer lacks and what it has', () => {
    const { nodes, weights } = llamaLayer(0);
    expect(() => inject(handMade({ nodes: nodes.slice(2), weights: weights ?? {} }), llama)).toThrow(
      refused(
        'MODEL_UNSUPPORTED',
        /Layer 0.* lacks self_attn\.q_proj, self_attn\.k_proj; it has .*v_proj\/MatMul/,
      ),
    );
  });

  it('refuses a linear that is there twice', () => {
    const { nodes, weights } = llamaLayer(0);
    const again = { ...nodes[0]!, name: '/model/layers.0/self_attn/qkv_proj/MatMul' };
    expect(() => inject(handMade({ nodes: [...nodes, again], weights: weights ?? {} }), llama)).toThrow(
      refused('MODEL_UNSUPPORTED', /q of layer 0 twice, in .*q_proj\/MatMul and .*qkv_proj\/MatMul/),
    );
  });

  it.each([
    [
      'with a transposed input',
      { opType: 'Gemm', attributes: { transA: 1 } },
      /q_proj.* multiplies its input transposed/,
    ],
    ['that the optimiser scaled', { opType: 'FusedMatMul' }, /q_proj.* is fused with what follows/],
    [
      'of two bits',
      { opType: 'MatMulNBits', attributes: { K: 4, N: 6, bits: 2 }, inputs: ['x', 'w', 's'] },
      /q_proj.* has weights of 2 bits/,
    ],
    [
      'without scales',
      { opType: 'MatMulNBits', attributes: { K: 4, N: 6, bits: 4 } },
      /q_proj.* has 2 inputs, not 3 or more/,
    ],
  ])('refuses a linear %s', (_, change, text) => {
    const { nodes, weights } = llamaLayer(0);
    const [q, ...rest] = nodes;
    const changed = { nodes: [{ ...q!, ...change }, ...rest], weights: weights ?? {} };
    expect(() => inject(handMade(changed), llama)).toThrow(refused('MODEL_UNSUPPORTED', text));
  });

  it.each([3, 4, 5, 6])('takes MatMulNBits with %i inputs', (count) => {
    const { nodes, weights } = llamaLayer(0);
    const inputs = ['x', 'w', 'scales', 'zeros', 'order', 'bias'].slice(0, count);
    const attributes = { K: 4, N: 6, bits: 4 };
    const quantised = nodes.map((node) => ({ ...node, opType: 'MatMulNBits', inputs, attributes }));
    const { sites } = inject(handMade({ nodes: quantised, weights: weights ?? {} }), llama);
    expect(sites).toHaveLength(7);
    expect(sites[0]).toMatchObject({ inFeatures: 4, outFeatures: 6 });
  });

  it('refuses a layer that is missing between others', () => {
    const [first, third] = [llamaLayer(0), llamaLayer(2)];
    const graph = {
      nodes: [...first.nodes, ...third.nodes],
      weights: { ...first.weights, ...third.weights },
    };
    expect(() => inject(handMade(graph), llama)).toThrow(refused('MODEL_UNSUPPORTED', /Layer 1/));
  });

  it('refuses weights that are not float32', () => {
    expect(() => inject(handMade({ ...llamaLayer(0), dataType: 10 }), llama)).toThrow(
      refused('MODEL_UNSUPPORTED', /element type 10/),
    );
  });

  it('refuses a model that has LoRA tensors as overridable initializers: feeding those does nothing', () => {
    const layer = llamaLayer(0);
    const name = 'model.layers.0.self_attn.q_proj.lora_A.weight';
    const graph = { ...layer, weights: { ...layer.weights, [name]: [4, 0] }, inputs: ['x', name] };
    expect(() => inject(handMade(graph), llama)).toThrow(
      refused('MODEL_UNSUPPORTED', /overridable initializers.*lora_A/),
    );
  });

  it('refuses an architecture that it does not know, with those that it does', () => {
    expect(() => familyOf('gpt2')).toThrow(refused('MODEL_UNSUPPORTED', /"gpt2".*llama/));
  });

  it.each([
    ['int4', tinyModel('int4')],
    ['LongRoPE', fixtureGraph('builder-phi3-longrope')],
  ])('answers every damaged file of %s with MODEL_INVALID or MODEL_UNSUPPORTED', (_, good) => {
    const damage = fc.oneof(
      fc.nat(good.length - 1).map((length) => good.subarray(0, length)),
      fc.tuple(fc.nat(good.length - 1), fc.integer({ min: 1, max: 255 })).map(([at, flip]) => {
        const copy = Buffer.from(good);
        copy.writeUInt8(copy.readUInt8(at) ^ flip, at);
        return copy;
      }),
    );
    fc.assert(
      fc.property(damage, (bytes) => {
        try {
          const graph = readGraph(bytes);
          lengthUseOf(graph);
          joinPositionTables(graph);
          checkSoftCapping(graph);
          withWholeCaches(bytes);
          withMissingWindows(bytes, { tokens: 8, layers: [0] });
          inject(bytes, llama);
        } catch (error) {
          expect(error).toBeInstanceOf(AdaptletError);
          expect(['MODEL_INVALID', 'MODEL_UNSUPPORTED']).toContain((error as AdaptletError).code);
        }
      }),
      { numRuns: 400 },
    );
  });
});
