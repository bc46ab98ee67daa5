import { describe, expect, it } from 'vitest';
import { AdaptletError } from '../../errors/adaptlet-error.ts';
import { FakeClock } from '../../time/fake-clock.ts';
import { type QueueOptions, type RunResult, WorkQueue } from './queue.ts';

type Line = { level: string; keys: Record<string, unknown>; message: string };

/** A queue whose runs are written down and end when the test says so, or at once. */
const start = (options: Partial<QueueOptions> = {}) => {
  const clock = new FakeClock();
  const lines: Line[] = [];
  const at = (level: string) => (keys: object, message: string) =>
    void lines.push({ level, keys: keys as Record<string, unknown>, message });
  const logger = { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') };
  const delays = { firstMs: 1000, maxMs: 60_000 };
  const queue = new WorkQueue({
    name: 'test',
    clock,
    random: () => 0,
    logger,
    workers: 1,
    delays,
    ...options,
  });
  const runs: string[] = [];
  const answers = new Map<string, () => RunResult | Promise<RunResult | void> | void>();
  const run = (): void =>
    queue.run(async (key) => {
      runs.push(key);
      return answers.get(key)?.();
    });
  const pass = async (ms: number): Promise<void> => {
    clock.advance(ms);
    await queue.idle();
  };
  return { clock, lines, queue, runs, answers, run, pass };
};

const fail = (): never => {
  throw new Error('broken');
};

describe('the work queue', () => {
  it('makes one run of adds that no run has taken up', async () => {
    const { queue, runs, run } = start();
    for (const key of ['a', 'b', 'a', 'a']) queue.add(key);
    run();
    await queue.idle();
    expect(runs).toEqual(['a', 'b']);
  });

  it('runs a key again that was added while it ran, and not before that run is over', async () => {
    const { queue, runs, answers, run } = start({ workers: 2 });
    const gate = Promise.withResolvers<void>();
    answers.set('a', () => gate.promise);
    queue.add('a');
    run();
    await expect.poll(() => runs).toEqual(['a']);
    queue.add('a');
    queue.add('b');
    await expect.poll(() => runs).toEqual(['a', 'b']);
    gate.resolve();
    await queue.idle();
    expect(runs).toEqual(['a', 'b', 'a']);
  });

  it('takes higher priorities first, equal ones in the order of their adds; a raise counts', async () => {
    const { queue, runs, run } = start();
    queue.add('a');
    queue.add('b', { priority: 5 });
    queue.add('c');
    queue.add('d', { priority: 5 });
    queue.add('c', { priority: 9 });
    queue.add('b', { priority: 1 });
    run();
    await queue.idle();
    expect(runs).toEqual(['c', 'b', 'd', 'a']);
  });

  it('waits with a delayed key; the earlier of two times counts', async () => {
    const { queue, runs, run, pass } = start();
    run();
    queue.add('a', { afterMs: 5000 });
    queue.add('b', { afterMs: 2000 });
    queue.add('a', { afterMs: 3000 });
    queue.add('a', { afterMs: 9000 });
    await pass(1999);
    expect(runs).toEqual([]);
    await pass(1);
    expect(runs).toEqual(['b']);
    await pass(999);
    expect(runs).toEqual(['b']);
    await pass(1);
    expect(runs).toEqual(['b', 'a']);
    await pass(60_000);
    expect(runs).toEqual(['b', 'a']);
  });

  it('runs a key again when its run asks for it', async () => {
    const { queue, runs, answers, run, pass } = start();
    answers.set('a', () => ({ requeueAfterMs: 10_000 }));
    run();
    queue.add('a');
    await queue.idle();
    await pass(9999);
    expect(runs).toEqual(['a']);
    await pass(1);
    expect(runs).toEqual(['a', 'a']);
  });

  it('doubles the wait of a key that fails, says so with the key, and forgets after a success', async () => {
    const { queue, runs, answers, run, pass, lines } = start();
    answers.set('a', fail);
    run();
    queue.add('a');
    queue.add('b');
    await queue.idle();
    expect(runs).toEqual(['a', 'b']);
    await pass(1000);
    await pass(1999);
    expect(runs).toEqual(['a', 'b', 'a']);
    await pass(1);
    expect(runs).toEqual(['a', 'b', 'a', 'a']);
    expect(
      lines.map(({ level, keys: { key, failures, retryInMs } }) => [level, key, failures, retryInMs]),
    ).toEqual([
      ['warn', 'a', 1, 1000],
      ['warn', 'a', 2, 2000],
      ['warn', 'a', 3, 4000],
    ]);
    expect(queue.gauges()).toMatchObject({ failing: 1, retries: 3, delayed: 1 });

    answers.set('a', () => ({ requeueAfterMs: 1 }));
    await pass(4000);
    answers.set('a', fail);
    await pass(1);
    expect(lines.at(-1)?.keys).toMatchObject({ failures: 1, retryInMs: 1000 });
  });

  it('waits at least as long as the server asks for, up to a minute', async () => {
    const { queue, answers, run, lines } = start();
    const busy = (retryAfterMs: number) => () => {
      throw new AdaptletError('KUBE_UNAVAILABLE', 'too many requests', { retryAfterMs });
    };
    answers.set('a', busy(7000));
    answers.set('b', busy(1e9));
    queue.add('a');
    queue.add('b');
    run();
    await queue.idle();
    expect(lines.map(({ keys }) => keys['retryInMs'])).toEqual([7000, 60_000]);
  });

  it('does not call a lost race a fault', async () => {
    const { queue, answers, run, lines } = start();
    answers.set('a', () => {
      throw new AdaptletError('KUBE_CONFLICT', 'object changed');
    });
    queue.add('a');
    run();
    await queue.idle();
    expect(lines).toEqual([expect.objectContaining({ level: 'debug' })]);
    expect(queue.gauges()).toMatchObject({ failing: 1 });
  });

  it('runs a failing key at once when it is added again', async () => {
    const { queue, runs, answers, run } = start();
    answers.set('a', fail);
    run();
    queue.add('a');
    await queue.idle();
    queue.add('a');
    await queue.idle();
    expect(runs).toEqual(['a', 'a']);
  });

  it('lets all failing keys together, also those that wake themselves, run no faster than the bucket fills', async () => {
    const { queue, runs, answers, run, pass } = start({ workers: 4, retries: { perSecond: 2, burst: 3 } });
    for (let i = 0; i < 20; i += 1) {
      const key = `k${i}`;
      answers.set(key, () => {
        queue.add(key);
        return fail();
      });
      queue.add(key);
    }
    run();
    await queue.idle();
    expect(runs.length).toBe(20 + 3);
    for (let second = 0; second < 10; second += 1) for (let half = 0; half < 2; half += 1) await pass(500);
    expect(runs.length).toBe(20 + 3 + 20);
    // Keys that are well do not wait for them.
    queue.add('well');
    await queue.idle();
    expect(runs.at(-1)).toBe('well');
  });

  it('wakes up by itself for a token', async () => {
    const { queue, clock, runs, answers, run } = start({ retries: { perSecond: 1, burst: 1 } });
    for (const key of ['a', 'b']) {
      answers.set(key, fail);
      queue.add(key);
    }
    run();
    await queue.idle();
    clock.advance(1000);
    await expect.poll(() => runs.length).toBe(3);
    // Nobody adds anything and nobody looks.
    clock.advance(1000);
    await expect.poll(() => runs.length).toBe(4);
    await queue.close();
  });

  it('ends the runs under way on close, waits for them, and starts nothing more', async () => {
    const { queue, clock } = start();
    const runs: string[] = [];
    const gate = Promise.withResolvers<void>();
    let told = false;
    queue.add('a');
    queue.add('b');
    queue.add('c', { afterMs: 1000 });
    queue.run(async (key, signal) => {
      runs.push(key);
      signal.addEventListener('abort', () => {
        told = true;
      });
      await gate.promise;
      signal.throwIfAborted();
    });
    await expect.poll(() => runs).toEqual(['a']);
    queue.add('a');
    let closed = false;
    const closing = queue.close().finally(() => {
      closed = true;
    });
    await new Promise(setImmediate);
    expect({ told, closed }).toEqual({ told: true, closed: false });
    gate.resolve();
    await closing;
    queue.add('d');
    clock.advance(100_000);
    await queue.idle();
    expect(runs).toEqual(['a']);
    const empty = {
      depth: 0,
      delayed: 0,
      running: 0,
      failing: 0,
      retries: 0,
      oldestWaitMs: 0,
      maxRunMs: 0,
    };
    expect(queue.gauges()).toEqual(empty);
  });

  it('tells how many wait, and how long the oldest waits and runs', async () => {
    const { queue, clock, runs, answers, run } = start();
    const gate = Promise.withResolvers<void>();
    answers.set('a', () => gate.promise);
    run();
    queue.add('a');
    await expect.poll(() => runs).toEqual(['a']);
    queue.add('b');
    clock.advance(300);
    queue.add('c');
    queue.add('d', { afterMs: 10_000 });
    clock.advance(200);
    expect(queue.gauges()).toMatchObject({
      depth: 2,
      delayed: 1,
      running: 1,
      oldestWaitMs: 500,
      maxRunMs: 500,
    });
    gate.resolve();
    await queue.idle();
  });

  it('leaves the event loop room while it works through a long queue', async () => {
    const { queue, runs, run } = start();
    for (let i = 0; i < 1000; i += 1) queue.add(`k${i}`);
    run();
    await new Promise((resolve) => setTimeout(resolve, 0));
    expect(runs.length).toBeLessThan(1000);
    await queue.idle();
    expect(runs.length).toBe(1000);
  });
});
