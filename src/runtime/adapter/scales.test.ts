import { describe, expect, it } from 'vitest';
import type { TensorEntry } from './safetensors.ts';
import { joinScales } from './scales.ts';

const entry = (name: string, dtype: string, shape: readonly number[]): TensorEntry => ({
  name,
  dtype,
  shape,
  begin: 0,
  end: 0,
});
const weight = entry('m.lora_A.weight', 'I8', [8, 64]);
const scales = entry('m.lora_A.weight_scale', 'F32', [8]);

describe('joinScales', () => {
  it('puts the scales beside their int8 tensor and leaves other tensors as they are', () => {
    const other = entry('m.lora_B.weight', 'F16', [64, 8]);
    expect(joinScales([scales, other, weight])).toEqual([other, { ...weight, scales }]);
  });

  it.each<[string, readonly TensorEntry[], RegExp]>([
    ['int8 without scales', [weight], /m\.lora_A\.weight"? is int8 and has no scales/],
    ['scales without a tensor', [scales], /weight_scale"? has scales for a tensor that is not there/],
    [
      'scales of a tensor that is not int8',
      [entry(weight.name, 'F16', [8, 64]), scales],
      /has type F16, not I8/,
    ],
    ['scales of another type', [weight, entry(scales.name, 'F16', [8])], /has type F16 instead of F32/],
    ['too few scales', [weight, entry(scales.name, 'F32', [7])], /shape \[7\].*its 8 rows/],
    ['scales of two dimensions', [weight, entry(scales.name, 'F32', [8, 1])], /shape \[8, 1\]/],
    ['one scale for the tensor', [weight, entry(scales.name, 'F32', [])], /shape \[\]/],
  ])('refuses %s', (_, entries, message) => {
    expect(() => joinScales(entries)).toThrow(
      expect.objectContaining({ code: 'ADAPTER_SCALE_INVALID', message: expect.stringMatching(message) }),
    );
  });
});
