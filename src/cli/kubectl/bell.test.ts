import { describe, expect, it } from 'vitest';
import { FakeClock } from '../../time/fake-clock.ts';
import { createBell } from './bell.ts';

const settled = async (promise: Promise<void>): Promise<boolean> => {
  const no = Symbol('no');
  return (await Promise.race([promise, Promise.resolve().then(() => Promise.resolve(no))])) !== no;
};

describe('the bell of a watch', () => {
  it('rings at once, and then at most every 250 ms, however much happens', async () => {
    const clock = new FakeClock();
    const bell = createBell(clock);
    bell.ring();
    await bell.rung();
    for (let i = 0; i < 100; i++) bell.ring();
    const second = bell.rung();
    clock.advance(249);
    expect(await settled(second)).toBe(false);
    clock.advance(1);
    await second;
    const third = bell.rung();
    clock.advance(999);
    expect(await settled(third)).toBe(false);
    bell.close();
  });

  it('rings by itself after a second, for what grows old', async () => {
    const clock = new FakeClock();
    const bell = createBell(clock);
    const rung = bell.rung();
    clock.advance(1000);
    await rung;
    bell.close();
  });

  it('ends with the signal of who waits', async () => {
    const bell = createBell(new FakeClock());
    const stop = new AbortController();
    const rung = bell.rung(stop.signal);
    stop.abort(new Error('seen enough'));
    await expect(rung).rejects.toThrow('seen enough');
    bell.close();
  });
});
