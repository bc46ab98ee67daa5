import { describe, expect, it } from 'vitest';
import type { ElementType } from '../tasks.ts';
import { readStepInputs } from './step-inputs.ts';

const names = [
  'input_ids',
  'attention_mask',
  'past_key_values.0.key',
  'past_key_values.0.value',
  'logits_rows',
];

const session = (
  inputNames: readonly string[],
  type: ElementType = 'float32',
  shape: (string | number)[] = ['b', 2, 'past', 'd'],
  vocabSize: string | number = 259,
) => ({
  inputs: inputNames.map((name) => ({ name, type, shape })),
  outputs: ['logits', 'present.0.key', 'present.0.value'].map((name) => ({
    name,
    type: 'float32' as const,
    shape: ['b', 'rows', vocabSize],
  })),
});

const read = (from: ReturnType<typeof session>, loraNames: readonly string[] = []) =>
  readStepInputs(from, loraNames, 16);

const unsupported = (text: string) =>
  expect.objectContaining({ code: 'MODEL_UNSUPPORTED', message: expect.stringContaining(text) });

describe("the inputs of a decoder's step", () => {
  it('are read with the cache in the order of the graph', () => {
    const inputs = read(session([...names, 'lora.x.A', 'lora.x.B']), ['lora.x.A', 'lora.x.B']);
    expect(inputs).toEqual({
      names: ['input_ids', 'attention_mask', 'logits_rows'],
      cacheShape: { entries: 2, kvHeads: 2, headSize: 16, element: 'float32' },
      vocabSize: 259,
      cache: [
        { past: 'past_key_values.0.key', present: 'present.0.key' },
        { past: 'past_key_values.0.value', present: 'present.0.value' },
      ],
    });
    expect(read(session([...names, 'position_ids'])).names).toContain('position_ids');
  });

  it('must be exactly those that are fed: ONNX Runtime ignores others without a word', () => {
    expect(() => read(session(names), ['lora.x.A'])).toThrow(unsupported('lacks the inputs [lora.x.A]'));
    expect(() => read(session([...names, 'lora.x.A']))).toThrow(unsupported('[lora.x.A] that nothing feeds'));
    expect(() => read(session([...names, 'use_cache_branch']))).toThrow(unsupported('use_cache_branch'));
  });

  it('must have a cache in float32 of four dimensions, with its outputs', () => {
    const [, , ...rest] = names;
    expect(() => read(session(names, 'float16'))).toThrow(unsupported('is float16, not float32'));
    expect(() => read(session(names, 'float32', ['b', 'past', 2]))).toThrow(unsupported('[b, past, 2]'));
    expect(() => read(session([...names, 'past_key_values.1.key']))).toThrow(
      unsupported('1 without a present output'),
    );
    expect(() => read(session(['input_ids', 'attention_mask', ...rest.slice(-1)]))).toThrow(
      unsupported('0 past inputs'),
    );
  });

  it('must have logits of a fixed vocabulary', () => {
    expect(() => read(session(names, 'float32', undefined, 'vocab'))).toThrow(
      unsupported('fixed vocabulary'),
    );
  });
});
