import { describe, expect, it } from 'vitest';
import { FillPace } from './fill-pace.ts';

/** A pace that has often seen prompts take so long per token. */
const measured = (maxStallMs: number, msPerToken: number): FillPace => {
  const pace = new FillPace(maxStallMs);
  for (let run = 0; run < 50; run += 1) pace.ran(100, 100 * msPerToken);
  return pace;
};

describe('the piece of a prompt that runs at once', () => {
  it.each([
    [100, 1, 64],
    [100, 2, 32],
    [200, 2, 64],
    [100, 0.5, 128],
    [100, 5, 16],
  ])('fits in the %d ms that others may wait, at %d ms a token: %d', (stall, ms, tokens) => {
    expect(measured(stall, ms).max).toBe(tokens);
  });

  it('leaves room for pieces that take longer than those before them', () => {
    const pace = measured(100, 0.5);
    expect(pace.max).toBe(128);
    for (let run = 0; run < 50; run += 1) pace.ran(100, 70);
    expect(pace.max).toBe(64);
  });

  it('is 16 tokens at least: fewer take as long', () => {
    expect(measured(100, 1000).max).toBe(16);
    expect(measured(0, 1).max).toBe(16);
  });

  it('is 128 tokens at most', () => {
    expect(measured(100, 0.001).max).toBe(128);
  });

  it('is 64 before anything was measured', () => {
    expect(new FillPace(100).max).toBe(64);
  });

  it('stays as it is while the speed stays about the same', () => {
    const pace = measured(100, 1);
    for (let run = 0; run < 200; run += 1) {
      pace.ran(100, run % 2 === 0 ? 75 : 150);
      expect(pace.max).toBe(64);
    }
  });

  it('follows a machine that becomes slower, and faster again', () => {
    const pace = measured(100, 1);
    for (let run = 0; run < 50; run += 1) pace.ran(100, 400);
    expect(pace.max).toBe(16);
    for (let run = 0; run < 50; run += 1) pace.ran(100, 40);
    expect(pace.max).toBe(128);
  });

  it('is not changed by pieces that are too short to say anything', () => {
    const pace = measured(100, 1);
    for (let run = 0; run < 50; run += 1) pace.ran(15, 15_000);
    expect(pace.max).toBe(64);
    pace.ran(16, 16_000);
    expect(pace.max).toBe(16);
  });
});
