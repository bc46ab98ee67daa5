import { describe, expect, it } from 'vitest';
import type { LengthUse } from '../onnx/lengths.ts';
import { limitsOf } from './limits.ts';

const nothing: LengthUse = { mixed: [], chosen: [], borders: [], windows: [], positions: undefined };
const limits = (use: Partial<LengthUse>, told = true, rounds = false) =>
  limitsOf({ ...nothing, ...use }, { told, contextLength: 8192, rounds });

describe('what a graph may do by its lengths', () => {
  it('is everything where only attention sees them', () => {
    const free = { together: true, maxTokens: 8192, near: [], farWindow: undefined, reasons: [] };
    expect(limits({})).toEqual(free);
    expect(limits({ positions: 8192, windows: [64, 8192] })).toEqual({ ...free, near: [64] });
    expect(limits({ windows: [64, 512, 4096] })).toEqual({ ...free, near: [64], farWindow: 512 });
  });

  it('has no far window where requests end before they leave it', () => {
    expect(limits({ windows: [4096], positions: 2048 })).toMatchObject({
      maxTokens: 2048,
      farWindow: undefined,
    });
    expect(limits({ windows: [4096], borders: [4097] })).toMatchObject({
      maxTokens: 4096,
      farWindow: undefined,
    });
    expect(limits({ windows: [4096], positions: 4097 })).toMatchObject({ maxTokens: 4097, farWindow: 4096 });
  });

  it('is one row a step where rows could depend on each other, unless it takes one sequence at a time anyway', () => {
    const mixed = ['CumSum it takes the attention mask'];
    expect(limits({ mixed })).toMatchObject({
      together: false,
      maxTokens: 8192,
      reasons: [expect.stringMatching(/^requests run one by one: .*CumSum it takes the attention mask$/)],
    });
    expect(limits({ mixed }, false)).toMatchObject({ together: true, reasons: [] });
  });

  it('ends below a border that is too far to be crossed at a start, with room for what moves it', () => {
    expect(limits({ borders: [4096] })).toMatchObject({
      maxTokens: 4095,
      reasons: [expect.stringMatching(/more than 4095 tokens are refused: .* with 4096/)],
    });
    expect(limits({ borders: [10, 4096, 5000] })).toMatchObject({ maxTokens: 4085, near: [10] });
    expect(limits({ borders: [100_000] })).toMatchObject({ maxTokens: 8192, reasons: [] });
  });

  it('ends with the positions', () => {
    expect(limits({ positions: 2048 })).toMatchObject({
      maxTokens: 2048,
      reasons: [expect.stringContaining('no more positions')],
    });
  });

  it('ends where a model has other positions that its graph does not have', () => {
    const model = { told: true, contextLength: 8192, rounds: false, shortPositions: 4096 };
    expect(limitsOf(nothing, model)).toMatchObject({
      maxTokens: 4096,
      reasons: [expect.stringContaining('LongRoPE')],
    });
  });

  it('ends with the window that a model has and its graph does not', () => {
    const model = { told: true, contextLength: 8192, rounds: false, window: 4096 };
    expect(limitsOf(nothing, model)).toMatchObject({
      maxTokens: 4096,
      reasons: [
        expect.stringContaining('the model looks back 4096 tokens, and its graph has no such window'),
      ],
    });
    expect(limitsOf({ ...nothing, windows: [4096] }, model)).toMatchObject({ maxTokens: 8192, reasons: [] });
    expect(limitsOf(nothing, { ...model, window: 8192 })).toMatchObject({ maxTokens: 8192, reasons: [] });
    // Compared with lengths: a graph that appends.
    expect(limitsOf({ ...nothing, borders: [8] }, { ...model, window: 8 })).toMatchObject({
      maxTokens: 8192,
    });
  });

  it('has near borders and windows crossed by running it', () => {
    expect(limits({ borders: [8], windows: [16, 512] }).near).toEqual([8, 16]);
    // What rounding could hide is not shown by running it.
    expect(limits({ borders: [8], windows: [16] }, true, true)).toMatchObject({ near: [16], maxTokens: 7 });
  });

  it('is nothing where nobody knows when it computes something else', () => {
    expect(() => limits({ chosen: ['If a', 'If b', 'If c', 'If d'] })).toThrow(
      expect.objectContaining({
        code: 'MODEL_UNSUPPORTED',
        message: expect.stringContaining('If a, If b, If c and 1 more'),
      }),
    );
  });
});
