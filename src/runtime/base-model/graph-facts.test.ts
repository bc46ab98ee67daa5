import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { readGraph } from '../engine/onnx/graph.ts';
import { contentField } from '../engine/onnx/wire.ts';
import { readGraphFacts } from './graph-facts.ts';
import { memoryNeedOf } from './memory-need.ts';

const models = fileURLToPath(new URL('../../../test/fixtures/models/tiny/model', import.meta.url));

describe('what a graph says of its model', () => {
  it.each([
    ['onnx-fp32', 'float32'],
    ['onnx-int4', 'int4'],
  ])('has the same parameters in every precision: %s', (folder, precision) => {
    expect(readGraphFacts(join(models, folder, 'model.onnx'))).toMatchObject({
      parameters: 111_296,
      precision,
      weightFiles: ['model.onnx.data'],
    });
  });
});

it('reads a tensor of more dimensions than a call takes arguments', () => {
  const tensor = Buffer.concat([contentField(1, Buffer.alloc(300_000, 1)), contentField(8, 'w')]);
  const graph = Buffer.concat([contentField(1, contentField(4, 'Relu')), contentField(5, tensor)]);
  const { initializers } = readGraph(contentField(7, graph));
  expect(initializers.get('w')?.dims).toHaveLength(300_000);
});

describe('what a model needs', () => {
  const settings = {
    adapterMemory: 2000,
    structureMemory: 500,
    classifierModel: undefined,
    classifierMemory: 300,
  };
  const input = { settings, modelBytes: 100, precision: 'int4', features: 1000 };

  it('is its packed weights and the budgets', () => {
    const wanted = { requests: 4, tokens: 50 };
    const need = memoryNeedOf({
      ...input,
      kv: { budgetBytes: 1000, bytesPerToken: 10, tokens: 100, wanted },
    });
    expect(need).toMatchObject({ weightsBytes: 140, totalBytes: 140 + 1000 + 2000 + 500 });
    expect(need.adapterRank16Bytes).toBe(32_000);
    expect(need.wanted).toEqual({ ...wanted, kvBytes: 2000 });
  });

  it('has the encoder of classifiers, where there is one', () => {
    const withEncoder = { ...settings, classifierModel: 'minilm' };
    expect(memoryNeedOf({ ...input, settings: withEncoder })).toMatchObject({
      classifierBytes: 300,
      totalBytes: 2440,
    });
  });

  it('has no keys and values, and no structures, where it does not generate', () => {
    expect(memoryNeedOf(input)).toMatchObject({ kvBytes: 0, structureBytes: 0, totalBytes: 2140 });
  });
});
