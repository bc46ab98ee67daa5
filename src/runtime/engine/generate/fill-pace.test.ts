import { describe, expect, it } from 'vitest';
import { FillPace } from './fill-pace.ts';

/** A pace that has often seen prompts take so long per token. */
const measured = (maxStallMs: number, msPerToken: number): FillPace => {
  const pace = new FillPace(maxStallMs);
  for (let run = 0; run < 50; run += 1) pace.ran(100, 100 * msPerToken);
  return pace;
};

describe('the piece of a prompt that runs at once', () => {
  it('is as large as is useful when nobody waits, however slow', () => {
    expect(measured(100, 50).most(false)).toBe(128);
  });

  it('is what fits the time that others may wait, in steps of 16 tokens', () => {
    expect(measured(100, 2).most(true)).toBe(48);
    expect(measured(100, 1.001).most(true)).toBe(96);
    expect(measured(200, 2).most(true)).toBe(96);
  });

  it('is 16 tokens at least: fewer take as long', () => {
    expect(measured(100, 1000).most(true)).toBe(16);
    expect(measured(0, 1).most(true)).toBe(16);
  });

  it('is never larger than what is useful', () => {
    expect(measured(100, 0.01).most(true)).toBe(128);
  });

  it('is guessed before anything was measured', () => {
    expect(new FillPace(100).most(true)).toBe(96);
  });

  it('follows a machine that becomes slower, little by little', () => {
    const pace = measured(100, 1);
    pace.ran(100, 400);
    expect(pace.most(true)).toBe(48);
    for (let run = 0; run < 50; run += 1) pace.ran(100, 400);
    expect(pace.most(true)).toBe(16);
  });

  it('is not changed by pieces that are too short to say anything', () => {
    const pace = measured(100, 1.001);
    for (let run = 0; run < 50; run += 1) pace.ran(15, 15_000);
    expect(pace.most(true)).toBe(96);
    pace.ran(16, 16_000);
    expect(pace.most(true)).toBe(16);
  });
});
