import { describe, expect, it } from 'vitest';
import { AdaptletError } from '../../../errors/adaptlet-error.ts';
import { FakeClock } from '../../../time/fake-clock.ts';
import { RoutingTime } from './routing-time.ts';

const start = () => {
  const clock = new FakeClock();
  let processorMs = 0;
  const time = new RoutingTime({
    clock,
    stopwatch: () => {
      const before = processorMs;
      return () => processorMs - before;
    },
  });
  /** A decision that takes so long; true: it was made. */
  const decides = (namespace: string, ms: number): boolean => {
    let isMade = false;
    try {
      time.check(namespace);
      time.measured(namespace, () => {
        processorMs += ms;
        isMade = true;
      });
    } catch (error) {
      expect(error).toMatchObject({ code: 'NAMESPACE_ROUTING_TIME' });
    }
    return isMade;
  };
  const count = (namespace: string, ms: number, times: number): number =>
    Array.from({ length: times }, () => decides(namespace, ms)).filter(Boolean).length;
  return { clock, time, decides, count, takes: (ms: number) => (processorMs += ms) };
};

describe('decisions that take long', () => {
  it('are refused once they took half a second, for their namespace alone', () => {
    const { count } = start();
    expect(count('slow', 9, 100)).toBe(56);
    expect(count('other', 9, 1)).toBe(1);
  });

  it('count as many times as they are longer than 10 ms', () => {
    const { count } = start();
    // 90 ms each.
    expect(count('slow', 30, 100)).toBe(6);
  });

  it.each([
    [5, 0.05],
    [10, 0.05],
    [20, 0.025],
    [50, 0.01],
  ])('of %i ms take %d of a core from then on', (each, share) => {
    const { clock, decides, count } = start();
    count('slow', each, 200);
    let made = 0;
    for (let ms = 0; ms < 300_000; ms += 10) {
      clock.advance(10);
      if (decides('slow', each)) made += 1;
    }
    expect((made * each) / 300_000).toBeCloseTo(share, 3);
  });

  it('may come again after the time that is told', () => {
    const { clock, time, count, decides } = start();
    count('slow', 10, 55);
    const refused = (): number => {
      try {
        time.check('slow');
        return 0;
      } catch (error) {
        return (error as { retryAfterMs: number }).retryAfterMs;
      }
    };
    expect(refused()).toBe(200);
    clock.advance(199);
    expect(decides('slow', 0)).toBe(false);
    clock.advance(1);
    expect(decides('slow', 0)).toBe(true);
  });

  it('count also where they fail', () => {
    const { time, takes, decides } = start();
    expect(() =>
      time.measured('slow', () => {
        takes(100);
        throw new Error('no such model');
      }),
    ).toThrow('no such model');
    expect(decides('slow', 0)).toBe(false);
  });
});

it('decisions of less than a millisecond are not counted, however many there are', () => {
  const { count } = start();
  expect(count('busy', 0.9, 10_000)).toBe(10_000);
});

it('what is not found is not counted, as its name is compared with all others', () => {
  const { time, takes, decides } = start();
  const decide = (): never => {
    takes(300);
    throw new AdaptletError('MODEL_NOT_FOUND', 'no such model');
  };
  for (let ask = 0; ask < 3; ask += 1) expect(() => time.measured('n', decide)).toThrow('no such model');
  expect(decides('n', 0)).toBe(true);
});

it('namespaces that have everything back are forgotten', () => {
  const { clock, time, decides } = start();
  for (let at = 0; at < 1000; at += 1) {
    clock.advance(1000);
    decides(`n${at}`, 30);
  }
  expect(time.kept).toBeLessThanOrEqual(256);
  expect(decides('n999', 300)).toBe(true);
  expect(decides('n999', 0)).toBe(false);
});

it('takes the processor time of this thread, not the time that passes', () => {
  const time = new RoutingTime({ clock: { monotonic: () => 0 } });
  const works = (ms: number, now: () => number): void => {
    for (const began = now(); now() - began < ms; );
  };
  const processor = (): number => {
    const { user, system } = process.threadCpuUsage();
    return (user + system) / 1000;
  };
  for (let ask = 0; ask < 100; ask += 1) time.measured('n', () => works(0.2, () => performance.now()));
  time.check('n');
  time.measured('n', () => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 400));
  time.measured('n', () => works(300, processor));
  expect(() => time.check('n')).toThrow(/\d{4,} ms count/);
});
