import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
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

describe('what a model needs', () => {
  const settings = { adapterMemory: 2000, batchMemory: 1_000_000, maxConcurrent: 4 };
  const input = { settings, modelBytes: 100, precision: 'int4', features: 1000 };

  it('is its packed weights and the budgets', () => {
    const need = memoryNeedOf({
      ...input,
      kv: {
        budgetBytes: 1000,
        bytesPerToken: 10,
        tokens: 100,
        together: true,
        wanted: { requests: 4, tokens: 50 },
      },
    });
    expect(need).toMatchObject({ weightsBytes: 140, totalBytes: 140 + 1000 + 2000 + 1_000_000 });
    // 4 rows of 1000 features of 4 bytes are 16,000 bytes a rank: 62 fit, and ranks are powers of two.
    expect(need.maxRankTogether).toBe(32);
    expect(need.adapterRank16Bytes).toBe(64_000);
    expect(need.wanted).toEqual({ requests: 4, tokens: 50, kvBytes: 2000 });
  });

  it('has no memory for shared steps where requests run one by one', () => {
    const wanted = { requests: 1, tokens: 50 };
    const kv = { budgetBytes: 1000, bytesPerToken: 10, tokens: 100, together: false, wanted };
    const need = memoryNeedOf({ ...input, kv });
    expect(need).toMatchObject({ kvBytes: 1000, batchBytes: 0 });
    expect(need.maxRankTogether).toBeUndefined();
  });

  it('has no keys, values and shared steps where it does not generate', () => {
    expect(memoryNeedOf(input)).toMatchObject({ kvBytes: 0, batchBytes: 0, totalBytes: 2140 });
  });
});
