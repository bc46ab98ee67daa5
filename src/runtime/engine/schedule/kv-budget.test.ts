import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type KvWish, kvPlanOf } from './kv-budget.ts';

const mebibytes = (bytes: number): number => bytes / 2 ** 20;
/** SmolLM2-135M: 46,080 bytes a token. */
const model = {
  shape: { entries: 60, kvHeads: 3, headSize: 64, element: 'float32' as const },
  contextLength: 8192,
  weightBytes: 110e6,
};
const wish = (gibibytes: number | undefined, own = true, more: Partial<KvWish> = {}): KvWish => ({
  precision: 'auto',
  available: gibibytes === undefined ? undefined : { bytes: gibibytes * 2 ** 30, own },
  besideBytes: 512 << 20,
  requests: 8,
  ...more,
});

describe('the memory of keys and values', () => {
  it('is what it was said to be, and float32 then', () => {
    expect(kvPlanOf(wish(0.1, true, { budgetBytes: 1000 }), model)).toEqual({
      budgetBytes: 1000,
      precision: 'float32',
    });
  });

  it('is what a limit leaves beside weights, adapters and the processes', () => {
    const { budgetBytes, precision } = kvPlanOf(wish(3), model);
    // 3,072 MiB, a tenth spare, minus 384, 512 and 1.4 times 105.
    expect(mebibytes(budgetBytes)).toBe(1721);
    expect(precision).toBe('float32');
  });

  it('is half of what the machine leaves, which others share', () => {
    expect(mebibytes(kvPlanOf(wish(3, false), model).budgetBytes)).toBe(860);
    // 512 MiB where there are as many.
    expect(mebibytes(kvPlanOf(wish(2, false), model).budgetBytes)).toBe(512);
  });

  it('is no more than all requests can use, and not less than it always was', () => {
    expect(mebibytes(kvPlanOf(wish(64), model).budgetBytes)).toBe((8 * 8192 * 46_080) / 2 ** 20);
    const short = { ...model, contextLength: 100 };
    expect(mebibytes(kvPlanOf(wish(64), short).budgetBytes)).toBe(512);
    expect(mebibytes(kvPlanOf(wish(undefined), model).budgetBytes)).toBe(512);
  });

  it('is int8 where float32 has no room for a decent request, which is said', () => {
    expect(kvPlanOf(wish(1.1), model)).toEqual({
      budgetBytes: 64 << 20,
      precision: 'int8',
      because: 'in float32 the memory of this machine holds a request of 1456 tokens at most',
    });
    expect(kvPlanOf(wish(1.1, true, { precision: 'float32' }), model).precision).toBe('float32');
    // All of a short context has room.
    expect(kvPlanOf(wish(1.1), { ...model, contextLength: 1024 }).precision).toBe('float32');
  });

  it('never exceeds what is left, and grows with the memory', () => {
    fc.assert(
      fc.property(
        fc.double({ min: 0, max: 40, noNaN: true }),
        fc.double({ min: 0, max: 40, noNaN: true }),
        fc.boolean(),
        (a, b, own) => {
          const [less, more] = [Math.min(a, b), Math.max(a, b)];
          const [small, large] = [less, more].map((size) => kvPlanOf(wish(size, own), model).budgetBytes);
          expect(small).toBeLessThanOrEqual(large!);
          expect(small! <= Math.max(64 << 20, less * 2 ** 30)).toBe(true);
        },
      ),
    );
  });
});
