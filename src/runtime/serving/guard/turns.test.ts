import { setImmediate } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { FakeClock } from '../../../time/fake-clock.ts';
import { Turns } from './turns.ts';

const start = () => {
  const clock = new FakeClock();
  const turns = new Turns(clock);
  const having: string[] = [];
  const ends = new Map<string, () => void>();
  const take = async (name: string, ms = 10_000, signal = new AbortController().signal): Promise<void> => {
    const end = await turns.take(ms, signal);
    having.push(name);
    ends.set(name, end);
  };
  return { clock, turns, having, ends, take };
};

describe('a turn', () => {
  it('is had by one after the other, in the order in which they came', async () => {
    const { having, ends, take } = start();
    for (const name of ['a', 'b', 'c']) void take(name);
    await setImmediate();
    expect(having).toEqual(['a']);
    // Twice is once.
    ends.get('a')?.();
    ends.get('a')?.();
    await setImmediate();
    expect(having).toEqual(['a', 'b']);
  });

  it('is had by as many as there are places, from when that is said', async () => {
    const { turns, having, take } = start();
    for (const name of ['a', 'b', 'c', 'd']) void take(name);
    turns.places = 3;
    await setImmediate();
    expect(having).toEqual(['a', 'b', 'c']);
  });

  it('is over after its time, which ends no later one', async () => {
    const { clock, having, ends, take } = start();
    void take('a', 10_000);
    await setImmediate();
    for (const name of ['b', 'c']) void take(name, 20_000);
    clock.advance(9_999);
    await setImmediate();
    expect(having).toEqual(['a']);
    clock.advance(1);
    await setImmediate();
    expect(having).toEqual(['a', 'b']);
    ends.get('a')?.();
    await setImmediate();
    expect(having).toEqual(['a', 'b']);
    clock.advance(20_000);
    await setImmediate();
    expect(having).toEqual(['a', 'b', 'c']);
  });

  it('comes after 80 seconds, whoever has one', async () => {
    const { clock, having, ends, take } = start();
    void take('a', 1e9);
    void take('b', 1e9);
    await setImmediate();
    clock.advance(79_999);
    void take('c');
    await setImmediate();
    expect(having).toEqual(['a']);
    clock.advance(1);
    await setImmediate();
    expect(having).toEqual(['a', 'b']);
    ends.get('a')?.();
    await setImmediate();
    expect(having).toEqual(['a', 'b']);
    ends.get('b')?.();
    await setImmediate();
    expect(having).toEqual(['a', 'b', 'c']);
  });

  it('of one that left goes to the next', async () => {
    const { having, ends, take } = start();
    void take('a');
    await setImmediate();
    const leaving = new AbortController();
    const left = take('b', 10_000, leaving.signal);
    void take('c');
    leaving.abort(new Error('left'));
    await expect(left).rejects.toThrow('left');
    ends.get('a')?.();
    await setImmediate();
    expect(having).toEqual(['a', 'c']);
  });
});
