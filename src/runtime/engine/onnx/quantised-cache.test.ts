import { describe, expect, it } from 'vitest';
import { handMade, tinyModel } from './graph.fixture.ts';
import { integerAttribute, readGraph, tensorsOf, textAttribute } from './graph.ts';
import { cacheEntries, quantiseCache } from './quantised-cache.ts';
import { elementType } from './schema.ts';

const exported = tinyModel('fp32');
const entries = cacheEntries(readGraph(exported));
const heads = (at: number): number => integerAttribute(entries[at]!.node, 'kv_num_heads')!;
const scalesOf = (size: number): ReadonlyMap<string, Float32Array> =>
  new Map(entries.map(({ past }, at) => [past, new Float32Array(heads(at) * size).fill(at + 1)]));

const unsupported = (text: string) =>
  expect.objectContaining({ code: 'MODEL_UNSUPPORTED', message: expect.stringContaining(text) });

describe('a graph with keys and values in int8', () => {
  it('has them as inputs and outputs, with a scale for each, and all else as it was', () => {
    const graph = readGraph(quantiseCache(exported, scalesOf(16)));
    const before = readGraph(exported);
    const isCache = (name: string): boolean => /^(past_key_values|present)\./.test(name);
    for (const which of ['inputs', 'outputs'] as const) {
      const codes = new Map(tensorsOf(before, which).map(({ name, code }) => [name, code]));
      expect(tensorsOf(graph, which).map(({ name, code, shape }) => ({ name, code, shape }))).toEqual(
        tensorsOf(before, which).map(({ name, shape }) => ({
          name,
          code: isCache(name) ? elementType.int8 : codes.get(name),
          shape,
        })),
      );
    }
    for (const { past, node } of entries) {
      const edited = graph.nodes.find(({ name }) => name === node.name)!;
      expect(edited.inputs).toContain(`${past}.scale`);
      expect(edited.inputs.slice(0, node.inputs.length)).toEqual(node.inputs);
      expect(textAttribute(edited, 'k_quant_type')).toBe('PER_CHANNEL');
      expect(integerAttribute(edited, 'kv_cache_bit_width')).toBe(8);
      expect(graph.initializers.get(`${past}.scale`)).toMatchObject({
        dims: [1, integerAttribute(node, 'kv_num_heads'), 1, 16],
        dataType: elementType.float,
      });
    }
  });

  it('is not made twice', () => {
    const once = quantiseCache(exported, scalesOf(16));
    expect(() => quantiseCache(once, scalesOf(16))).toThrow(unsupported('quantised already'));
  });

  it('is not made where something else takes or makes keys and values', () => {
    const attention = {
      opType: 'GroupQueryAttention',
      name: 'attention',
      inputs: ['q', 'k', 'v', 'past_key_values.0.key', 'past_key_values.0.value'],
      outputs: ['y', 'present.0.key', 'present.0.value'],
      attributes: { kv_num_heads: 1 },
    };
    const inputs = ['q', 'k', 'v', 'past_key_values.0.key', 'past_key_values.0.value'];
    const outputs = ['y', 'present.0.key', 'present.0.value'];
    const entriesOf = (graph: Parameters<typeof handMade>[0]) => cacheEntries(readGraph(handMade(graph)));
    expect(entriesOf({ nodes: [attention], inputs, outputs })).toHaveLength(2);
    const alone = unsupported('not those of GroupQueryAttention alone');
    const shape = { opType: 'Shape', name: 's', inputs: ['past_key_values.0.key'], outputs: ['n'] };
    expect(() => entriesOf({ nodes: [attention, shape], inputs, outputs })).toThrow(alone);
    expect(() => entriesOf({ nodes: [attention], inputs, outputs: ['y'] })).toThrow(alone);
    expect(() =>
      entriesOf({ nodes: [attention], inputs: [...inputs, 'past_key_values.1.key'], outputs }),
    ).toThrow(alone);
    expect(() => entriesOf({ nodes: [{ ...attention, opType: 'Attention' }], inputs, outputs })).toThrow(
      alone,
    );
  });
});
