import { expect, it } from 'vitest';
import { headBytesOf, tooLarge } from './encoder-memory.ts';

const mib = 2 ** 20;

it('heads have a quarter of what the process may take, and 128 MiB at most', () => {
  expect([64, 400, 512, 4096].map((budget) => headBytesOf(budget * mib) / mib)).toEqual([16, 100, 128, 128]);
});

it('an encoder that leaves room for heads can be used', () => {
  expect(tooLarge(384 * mib, 512 * mib)).toBeUndefined();
  expect(tooLarge(384 * mib + 1, 512 * mib)).toMatchObject({ code: 'CLASSIFIER_MEMORY' });
});

it('one that does not says how much would be enough, and that much is', () => {
  for (const resident of [40, 200, 384, 700]) {
    const refusal = tooLarge(resident * mib, 32 * mib);
    expect(refusal?.what).toBe(
      `the process of the encoder takes ${resident} MiB and 8 MiB are for heads, more than the 32 MiB of --classifier-memory`,
    );
    const enough = Number(/--classifier-memory .* to (\d+)Mi/.exec(refusal?.advice ?? '')?.[1]);
    expect(tooLarge(resident * mib, enough * mib)).toBeUndefined();
    expect(tooLarge(resident * mib, (enough - 2) * mib)).toBeDefined();
  }
});
