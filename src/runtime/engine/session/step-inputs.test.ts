import type { InferenceSession } from 'onnxruntime-node';
import { describe, expect, it } from 'vitest';
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
  type = 'float32',
  shape: (string | number)[] = ['b', 2, 'past', 'd'],
) =>
  ({
    inputNames,
    outputNames: ['logits', 'present.0.key', 'present.0.value'],
    inputMetadata: inputNames.map((name) => ({ name, isTensor: true, type, shape })),
  }) as unknown as InferenceSession;

const unsupported = (text: string) =>
  expect.objectContaining({ code: 'MODEL_UNSUPPORTED', message: expect.stringContaining(text) });

describe("the inputs of a decoder's step", () => {
  it('are read with the cache in the order of the graph', () => {
    const inputs = readStepInputs(session([...names, 'lora.x.A', 'lora.x.B']), ['lora.x.A', 'lora.x.B']);
    expect(inputs).toMatchObject({
      hasPositions: false,
      kvHeads: 2,
      cache: [
        { past: 'past_key_values.0.key', present: 'present.0.key' },
        { past: 'past_key_values.0.value', present: 'present.0.value' },
      ],
    });
    expect(readStepInputs(session([...names, 'position_ids']), []).hasPositions).toBe(true);
  });

  it('must be exactly those that are fed: ONNX Runtime ignores others without a word', () => {
    expect(() => readStepInputs(session(names), ['lora.x.A'])).toThrow(
      unsupported('lacks the inputs [lora.x.A]'),
    );
    expect(() => readStepInputs(session([...names, 'lora.x.A']), [])).toThrow(
      unsupported('[lora.x.A] that nothing feeds'),
    );
    expect(() => readStepInputs(session([...names, 'use_cache_branch']), [])).toThrow(
      unsupported('use_cache_branch'),
    );
  });

  it('must have a cache in float32 of four dimensions, with its outputs', () => {
    const [, , ...rest] = names;
    expect(() => readStepInputs(session(names, 'float16'), [])).toThrow(unsupported('is not float32'));
    expect(() => readStepInputs(session(names, 'float32', ['b', 'past', 2]), [])).toThrow(
      unsupported('[b, past, 2]'),
    );
    expect(() => readStepInputs(session([...names, 'past_key_values.1.key']), [])).toThrow(
      unsupported('1 without a present output'),
    );
    expect(() => readStepInputs(session(['input_ids', 'attention_mask', ...rest.slice(-1)]), [])).toThrow(
      unsupported('0 past inputs'),
    );
  });
});
