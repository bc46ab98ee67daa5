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
  const input = { settings, modelBytes: 100, precision: 'float32', features: 1000 };

  // docs/reference/performance/real-sizes.md: PSS after a load.
  it.each([
    ['Gemma-3-270m', 330, 635],
    ['Qwen2.5-0.5B', 388, 675],
    ['Qwen3-0.6B', 472, 814],
    ['Llama-3.2-1B', 926, 1312],
  ])('is for weights in int4 what was measured, and little more: %s', (_, modelMiB, measuredMiB) => {
    const { weightsBytes } = memoryNeedOf({ ...input, precision: 'int4', modelBytes: modelMiB * 2 ** 20 });
    const process = 118;
    const mebibytes = process + weightsBytes / 2 ** 20;
    expect(mebibytes).toBeGreaterThan(measuredMiB);
    expect(mebibytes).toBeLessThan(1.1 * measuredMiB);
  });

  it('is at a first start what the process takes that loads the model twice, where the budgets are small', () => {
    const modelBytes = 2200 * 2 ** 20;
    const small = memoryNeedOf({ ...input, precision: 'int4', modelBytes });
    expect(small.firstStartBytes).toBe(2.5 * modelBytes + (118 << 20));
    expect(small.totalBytes).toBe(small.firstStartBytes);
    const kv = {
      budgetBytes: 4 * 2 ** 30,
      bytesPerToken: 10,
      tokens: 100,
      wanted: { requests: 4, tokens: 50 },
    };
    const large = memoryNeedOf({ ...input, precision: 'int4', modelBytes, kv });
    expect(large.totalBytes).toBe(large.weightsBytes + kv.budgetBytes + 2000 + 500);
    expect(memoryNeedOf(input).firstStartBytes).toBeUndefined();
  });

  it('is its weights and the budgets', () => {
    const wanted = { requests: 4, tokens: 50 };
    const need = memoryNeedOf({
      ...input,
      kv: { budgetBytes: 1000, bytesPerToken: 10, tokens: 100, wanted },
    });
    expect(need).toMatchObject({ weightsBytes: 110, totalBytes: 110 + 1000 + 2000 + 500 });
    expect(need.adapterRank16Bytes).toBe(32_000);
    expect(need.wanted).toEqual({ ...wanted, kvBytes: 2000 });
  });

  it('has the encoder of classifiers, where there is one', () => {
    const withEncoder = { ...settings, classifierModel: 'minilm' };
    expect(memoryNeedOf({ ...input, settings: withEncoder })).toMatchObject({
      classifierBytes: 300,
      totalBytes: 2410,
    });
  });

  it('has no keys and values, and no structures, where it does not generate', () => {
    expect(memoryNeedOf(input)).toMatchObject({ kvBytes: 0, structureBytes: 0, totalBytes: 2110 });
  });
});
