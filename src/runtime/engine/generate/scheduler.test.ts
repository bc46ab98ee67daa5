import { describe, expect, it } from 'vitest';
import { Exclusive } from '../exclusive.ts';
import { type Ending, type Schedulable, Scheduler } from './scheduler.ts';

type Name = Schedulable['adapter'];
const adapter = (name: string): Name => ({ name }) as unknown as Name;

/** A sequence of a given number of steps that writes down when it runs. */
class FakeSequence implements Schedulable {
  readonly id: number;
  readonly adapter: Name;
  readonly switches: boolean[] = [];
  cancelled = false;
  window = Infinity;
  #left: number;
  readonly #log: number[];
  readonly #failAt: number;

  constructor(id: number, steps: number, log: number[], options: { adapter?: Name; failAt?: number } = {}) {
    this.id = id;
    this.#left = steps;
    this.#log = log;
    this.adapter = options.adapter ?? null;
    this.#failAt = options.failAt ?? -1;
  }
  get runnable(): boolean {
    return this.window > 0;
  }
  cancel(): void {
    this.cancelled = true;
  }
  taken(events: number): void {
    this.window += events;
  }
  async step(switched: boolean): Promise<boolean> {
    await new Promise(setImmediate);
    this.switches.push(switched);
    this.#log.push(this.id);
    this.window -= 1;
    this.#left -= 1;
    if (this.#left === this.#failAt) throw new Error('broken');
    return this.#left === 0;
  }
}

/** Lets everything run that can. */
const settle = async (): Promise<void> => {
  for (let turn = 0; turn < 200; turn += 1) await new Promise(setImmediate);
};

const start = (maxConcurrent = 8, maxQueue = 8) => {
  const log: number[] = [];
  const endings = new Map<number, Ending['kind']>();
  const steps = new Exclusive();
  const scheduler = new Scheduler({ maxConcurrent, maxQueue, steps });
  const submit = (sequence: FakeSequence): void =>
    scheduler.submit(sequence, (ending) => {
      expect(endings.has(sequence.id)).toBe(false);
      endings.set(sequence.id, ending.kind);
    });
  return { log, endings, steps, scheduler, submit };
};

describe('the scheduler', () => {
  it('gives every active sequence one step in turn', async () => {
    const { log, submit, endings } = start();
    for (const id of [1, 2, 3]) submit(new FakeSequence(id, 3, log));
    await settle();
    expect(log).toEqual([1, 2, 3, 1, 2, 3, 1, 2, 3]);
    expect([...endings]).toEqual([
      [1, 'complete'],
      [2, 'complete'],
      [3, 'complete'],
    ]);
  });

  it('takes a step that fails because its request was cancelled for cancelled', async () => {
    const { log, submit, endings, scheduler } = start();
    submit(new FakeSequence(1, 3, log, { failAt: 2 }));
    await new Promise(setImmediate);
    scheduler.cancel(1);
    await settle();
    expect([...endings]).toEqual([[1, 'cancelled']]);
  });

  it('lets a short request pass a long one', async () => {
    const { log, submit, endings } = start();
    submit(new FakeSequence(1, 50, log));
    submit(new FakeSequence(2, 2, log));
    await settle();
    expect([...endings.keys()]).toEqual([2, 1]);
  });

  it('lets no more than maxConcurrent take turns; the others follow in order', async () => {
    const { log, submit } = start(2);
    for (const id of [1, 2, 3, 4]) submit(new FakeSequence(id, 2, log));
    await settle();
    expect(log.indexOf(3)).toBeGreaterThan(log.lastIndexOf(1));
    expect(log.indexOf(4)).toBeGreaterThan(log.indexOf(3));
  });

  it('refuses one more than fits with QUEUE_FULL and a time to come back', () => {
    const { log, submit } = start(1, 2);
    for (const id of [1, 2, 3]) submit(new FakeSequence(id, 1, log));
    expect(() => submit(new FakeSequence(4, 1, log))).toThrow(
      expect.objectContaining({ code: 'QUEUE_FULL', retryAfterMs: 1000 }),
    );
  });

  it('ends a cancelled sequence before its next step, running or waiting', async () => {
    const { log, submit, endings, scheduler } = start(1);
    const running = new FakeSequence(1, 1000, log);
    submit(running);
    submit(new FakeSequence(2, 1, log));
    await new Promise(setImmediate);
    scheduler.cancel(2);
    scheduler.cancel(1);
    const steps = log.length;
    await settle();
    expect(log.length).toBeLessThanOrEqual(steps + 1);
    expect(Object.fromEntries(endings)).toEqual({ 1: 'cancelled', 2: 'cancelled' });
  });

  it('ends a sequence whose step fails, and only that one', async () => {
    const { log, submit, endings } = start();
    submit(new FakeSequence(1, 3, log, { failAt: 1 }));
    submit(new FakeSequence(2, 3, log));
    await settle();
    expect(Object.fromEntries(endings)).toEqual({ 1: 'failed', 2: 'complete' });
    expect(log.filter((id) => id === 1)).toHaveLength(2);
  });

  it('leaves out a sequence whose caller does not take its events, until it does', async () => {
    const { log, submit, endings, scheduler } = start();
    const slow = new FakeSequence(1, 5, log);
    slow.window = 2;
    submit(slow);
    submit(new FakeSequence(2, 4, log));
    await settle();
    expect(log.filter((id) => id === 1)).toHaveLength(2);
    expect(endings.get(2)).toBe('complete');
    scheduler.taken(1, 3);
    await settle();
    expect(endings.get(1)).toBe('complete');
  });

  it('tells a step when the one before was with another adapter', async () => {
    const { log, submit } = start();
    const a = adapter('a');
    const first = new FakeSequence(1, 2, log, { adapter: a });
    const second = new FakeSequence(2, 2, log, { adapter: a });
    const base = new FakeSequence(3, 2, log);
    for (const sequence of [first, second, base]) submit(sequence);
    await settle();
    expect(first.switches).toEqual([false, true]);
    expect(second.switches).toEqual([false, false]);
    expect(base.switches).toEqual([true, true]);
  });

  it('stops after the present step and takes nothing more', async () => {
    const { log, submit, endings, scheduler } = start(1);
    submit(new FakeSequence(1, 1000, log));
    submit(new FakeSequence(2, 1, log));
    await new Promise(setImmediate);
    scheduler.stop();
    await settle();
    expect(Object.fromEntries(endings)).toEqual({ 1: 'cancelled', 2: 'cancelled' });
    expect(() => submit(new FakeSequence(3, 1, log))).toThrow(/closing/);
  });
});
