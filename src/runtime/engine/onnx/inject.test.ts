import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { AdaptletError } from '../../../errors/adaptlet-error.ts';
import { familyOf } from './families.ts';
import { readGraph } from './graph.ts';
import { handMade, llamaLayer, tinyModel } from './graph-fixture.ts';
import { inject } from './inject.ts';
import { readFields, textOf } from './wire.ts';

const llama = familyOf('llama');
const refused = (code: string, text: RegExp) =>
  expect.objectContaining({ code, message: expect.stringMatching(text) });

describe('injecting LoRA into a graph', () => {
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

  it('gives each linear a symbolic rank of its own', () => {
    const text = inject(tinyModel('fp32'), llama).model.toString('latin1');
    const ranks = new Set(text.match(/rank\.model\.layers\.\d\.[a-z_]+\.[a-z_]+_proj/g));
    expect(ranks.size).toBe(14);
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

  it('refuses a graph with fused q, k and v, and says what it lacks', () => {
    const { nodes, weights } = llamaLayer(0);
    const [q, , , ...rest] = nodes;
    const fused = [{ ...q!, name: '/model/layers.0/attn/qkv_proj/MatMul' }, ...rest];
    expect(() => inject(handMade({ nodes: fused, ...(weights && { weights }) }), llama)).toThrow(
      refused('MODEL_UNSUPPORTED', /lacks self_attn\.q_proj, self_attn\.k_proj, self_attn\.v_proj.*qkv_proj/),
    );
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

  it('answers every damaged file with MODEL_INVALID or MODEL_UNSUPPORTED', () => {
    const good = tinyModel('int4');
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
