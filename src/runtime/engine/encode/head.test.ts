import { describe, expect, it } from 'vitest';
import { classify, type Head, readHead } from './head.ts';

const head: Head = {
  labels: ['low', 'high'],
  weight: Float32Array.of(1, 0, 0, 2),
  bias: Float32Array.of(0.5, 0),
  activation: 'softmax',
};

describe('a classification head', () => {
  it('gives weight times the pooled state plus bias, and the label of the largest', () => {
    expect(classify(head, Float32Array.of(1, 1))).toMatchObject({ label: 'high', logits: [1.5, 2] });
    expect(classify(head, Float32Array.of(2, 1))).toMatchObject({ label: 'low', logits: [2.5, 2] });
  });

  it('makes probabilities of labels that exclude each other, also of large logits', () => {
    const [low = NaN, high = NaN] = classify(head, Float32Array.of(1, 1)).probabilities;
    expect(high).toBeCloseTo(1 / (1 + Math.exp(-0.5)), 12);
    expect(low + high).toBeCloseTo(1, 12);
    expect(classify(head, Float32Array.of(1000, 0)).probabilities).toEqual([1, 0]);
  });

  it('makes a probability of each label by itself, or leaves the numbers as they are', () => {
    const pooled = Float32Array.of(-0.5, 0);
    expect(classify({ ...head, activation: 'sigmoid' }, pooled).probabilities).toEqual([0.5, 0.5]);
    expect(classify({ ...head, activation: 'none' }, Float32Array.of(1, 1)).probabilities).toEqual([1.5, 2]);
  });

  it('that cannot be read is damaged, so that its file is made again', async () => {
    const info = { dimensions: 2, maxTokens: 8, pooling: 'model', normalize: false, wrappers: [] } as const;
    const reading = readHead('/nowhere/compiled.adaptlet', info);
    await expect(reading).rejects.toMatchObject({ code: 'COMPILED_FILE_CORRUPT' });
  });

  it('says nothing that looks right when a value is not finite', () => {
    expect(classify(head, Float32Array.of(NaN, 1)).logits).toEqual([NaN, NaN]);
  });
});
