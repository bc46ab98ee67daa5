import { describe, expect, it } from 'vitest';
import { objectKey } from '../../api/names.ts';
import { HeldVersions, noLayers } from '../../control/held-versions.ts';
import { FakeClock } from '../../time/fake-clock.ts';
import { Connections, type Stream } from './connections.ts';

const key = objectKey('adaptlet-system', 'node-1');
const streamThatHeld = (version: string): Stream => ({
  end: () => undefined,
  held: new HeldVersions(noLayers, new Map([['AdapterSpec team-a/a', version]])),
});

/** Timers that were begun and are neither over nor stopped. */
class CountingClock extends FakeClock {
  timers = 0;
  override after(ms: number, fn: () => void): () => void {
    let isOver = false;
    const over = (): void => {
      if (!isOver) this.timers -= 1;
      isOver = true;
    };
    this.timers += 1;
    const stop = super.after(ms, () => {
      over();
      fn();
    });
    return () => {
      over();
      stop();
    };
  }
}

describe('connections of a runtime', () => {
  it('leave what it held for a minute, and nothing after it', () => {
    const clock = new FakeClock();
    const connections = new Connections(clock);
    const [first, second] = [streamThatHeld('1'), streamThatHeld('2')];
    expect(connections.admit(key, 1n, first)).toBeUndefined();
    expect(connections.admit(key, 2n, second)).toBe(first.held);
    // Its end is noticed late, and is no end of the newer one.
    connections.release(key, first);
    expect(connections.get(key)).toBe(second);
    connections.release(key, second);
    expect(connections.get(key)).toBeUndefined();
    clock.advance(59_000);
    expect(() => connections.admit(key, 1n, first)).toThrow('older');
    expect(connections.size).toBe(1);
    clock.advance(2_000);
    expect(connections.size).toBe(0);
    expect(connections.admit(key, 1n, first)).toBeUndefined();
  });

  it('are remembered once, however often it comes and goes', () => {
    const clock = new CountingClock();
    const connections = new Connections(clock);
    for (let seq = 1n; seq <= 1_000n; seq += 1n) {
      const stream = streamThatHeld(String(seq));
      connections.admit(key, seq, stream);
      connections.release(key, stream);
    }
    expect(clock.timers).toBe(1);
    expect(connections.size).toBe(1);
  });

  it('are not forgotten by the timer of an earlier one', () => {
    const clock = new FakeClock();
    const connections = new Connections(clock);
    const [first, second] = [streamThatHeld('1'), streamThatHeld('2')];
    connections.admit(key, 1n, first);
    connections.release(key, first);
    clock.advance(30_000);
    connections.admit(key, 2n, second);
    connections.release(key, second);
    clock.advance(31_000);
    expect(connections.admit(key, 3n, first)).toBe(second.held);
  });
});
