import { describe, expect, it } from 'vitest';
import { FakeClock } from '../../../time/fake-clock.ts';
import { StepClock } from './step-clock.ts';

const start = () => {
  const clock = new FakeClock();
  const steps = new StepClock(clock);
  const run = async (work: number, ms: number): Promise<void> => {
    await steps.time(work, () => {
      clock.advance(ms);
      return Promise.resolve();
    });
  };
  const hang = (work: number): void => void steps.time(work, () => new Promise<never>(() => undefined));
  return { clock, steps, run, hang };
};

describe('the present step', () => {
  it('has an age, and is nothing when none runs', async () => {
    const { clock, steps, run, hang } = start();
    await run(1, 100);
    expect(steps.look()).toBeUndefined();
    clock.advance(100);
    hang(1);
    clock.advance(250);
    expect(steps.look()).toEqual({ ageMs: 250, expectedMs: 100 });
    clock.advance(250);
    expect(steps.look()?.ageMs).toBe(500);
  });

  it('is expected to be as slow as the slowest of the last ones, by what it does', async () => {
    const { steps, run, hang } = start();
    await run(1, 1000);
    for (let step = 0; step < 31; step += 1) await run(10, 100);
    hang(8);
    expect(steps.look()?.expectedMs).toBe(8000);
    await run(10, 100);
    hang(8);
    expect(steps.look()?.expectedMs).toBe(80);
  });

  it('of many tokens is measured by others of many, as few tokens read all weights, too', async () => {
    const { steps, run, hang } = start();
    await run(1, 300);
    hang(128);
    expect(steps.look()).toEqual({ ageMs: 0 });
    await run(64, 640);
    for (let step = 0; step < 32; step += 1) await run(1, 300);
    hang(128);
    expect(steps.look()?.expectedMs).toBe(1280);
    hang(2);
    expect(steps.look()?.expectedMs).toBe(600);
  });

  it('has no measure before one has run', () => {
    const { steps, hang } = start();
    hang(1);
    expect(steps.look()).toEqual({ ageMs: 0 });
  });

  it('is not older for a time in which this process stood still', () => {
    const { clock, steps, hang } = start();
    hang(1);
    clock.advance(600_000);
    expect(steps.look()?.ageMs).toBe(1000);
  });

  it('is not expected to be slower for a time in which this process stood still during another one', async () => {
    const { clock, steps, hang } = start();
    await steps.time(1, () => {
      clock.advance(250);
      steps.look();
      clock.advance(600_000);
      return Promise.resolve();
    });
    hang(1);
    expect(steps.look()?.expectedMs).toBe(1250);
  });

  it('that fails is over', async () => {
    const { steps } = start();
    await expect(steps.time(1, () => Promise.reject(new Error('broken')))).rejects.toThrow('broken');
    expect(steps.look()).toBeUndefined();
  });
});
