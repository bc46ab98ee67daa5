import { describe, expect, it } from 'vitest';
import { FakeSequence, startScheduler, turns } from './scheduler.fixture.ts';

const queueFull = expect.objectContaining({ code: 'QUEUE_FULL' });

/** The steps that a sequence took part in. */
const stepsOf = (log: readonly string[], id: number): readonly string[] =>
  log.filter((step) => step.split(' ').slice(1).includes(String(id)));

describe('the steps of the scheduler', () => {
  it('give all that decode their next token at once', async () => {
    const { log, submit, settle, kinds } = startScheduler();
    for (const id of [1, 2, 3]) submit(new FakeSequence(id, { prompt: 1, answer: 2 }));
    await settle();
    expect(log).toEqual(['decode 1 2 3', 'decode 1 2 3']);
    expect(kinds()).toEqual({ 1: 'complete', 2: 'complete', 3: 'complete' });
  });

  it('are in turns for a prompt and for all that decode', async () => {
    const { log, submit, settle } = startScheduler();
    for (const id of [1, 2, 3]) submit(new FakeSequence(id, { answer: 4 }));
    await settle();
    expect(log).toEqual([
      'fill 1',
      'decode 1',
      'fill 2',
      'decode 1 2',
      'fill 3',
      'decode 1 2 3',
      'decode 2 3',
      'decode 3',
    ]);
  });

  it('cut a prompt the same way whether somebody waits for a token or not', async () => {
    const piecesBeside = async (others: number): Promise<readonly number[]> => {
      const { batch, submit, settle } = startScheduler({ maxDecodeStallMs: 100 });
      batch.msPerToken = 1;
      for (let other = 0; other < others; other += 1)
        submit(new FakeSequence(2 + other, { prompt: 1, answer: 50 }));
      await turns(1);
      submit(new FakeSequence(1, { prompt: 150, answer: 1 }));
      await settle();
      return batch.pieces;
    };
    expect(await piecesBeside(0)).toEqual([64, 64, 22]);
    expect(await piecesBeside(3)).toEqual([64, 64, 22]);
  });

  it('take pieces of a prompt that are over in time for those that wait for a token, also on a slow machine', async () => {
    const { batch, log, submit, settle } = startScheduler({ maxDecodeStallMs: 40 });
    submit(new FakeSequence(1, { prompt: 1, answer: 50 }));
    await turns(1);
    batch.msPerToken = 4;
    submit(new FakeSequence(2, { prompt: 130, answer: 1 }));
    await settle();
    expect(batch.pieces).toEqual([64, 16, 16, 16, 16, 2]);
    expect(log.slice(0, 6)).toEqual(['decode 1', 'fill 2', 'decode 1', 'fill 2', 'decode 1', 'fill 2']);
    // What is also scored takes longer, which says nothing about others.
    const scored = startScheduler({ maxDecodeStallMs: 40 });
    scored.batch.msPerToken = 4;
    for (const isScored of [true, false]) {
      scored.submit(new FakeSequence(1, { prompt: 128, answer: 1, isScored }));
      await scored.settle();
    }
    expect(scored.batch.pieces).toEqual([64, 64, 64, 16, 16, 16, 16]);
  });

  it('are for the prompt of whoever had less, before that of others', async () => {
    const { log, submit, settle } = startScheduler();
    const [a, b] = [{ tenant: 'a' }, { tenant: 'b' }];
    submit(new FakeSequence(1, { prompt: 400, answer: 1, flow: a }));
    submit(new FakeSequence(2, { prompt: 130, answer: 1, flow: b }));
    await settle();
    expect(log.slice(0, 2)).toEqual(['fill 2', 'fill 2']);
  });

  it('let a short request pass a long one', async () => {
    const { submit, settle, endings } = startScheduler();
    submit(new FakeSequence(1, { answer: 50 }));
    submit(new FakeSequence(2, { answer: 2 }));
    await settle();
    expect([...endings.keys()]).toEqual([2, 1]);
  });

  it('are without a sequence whose caller does not take its events, until it does', async () => {
    const { log, submit, settle, kinds, scheduler } = startScheduler();
    submit(new FakeSequence(1, { answer: 5, window: 2 }));
    submit(new FakeSequence(2, { answer: 4 }));
    await settle();
    expect(stepsOf(log, 1)).toHaveLength(2);
    expect(kinds()).toEqual({ 2: 'complete' });
    scheduler.taken(1, 3);
    await settle();
    expect(kinds()).toEqual({ 1: 'complete', 2: 'complete' });
  });

  it('that fail for one sequence end that one only', async () => {
    const { log, submit, settle, endings, kinds } = startScheduler();
    submit(new FakeSequence(1, { answer: 3, failAt: 2 }));
    submit(new FakeSequence(2, { answer: 3 }));
    submit(new FakeSequence(3, { answer: 3, failAt: 1 }));
    await settle();
    expect(kinds()).toEqual({ 1: 'failed', 2: 'complete', 3: 'failed' });
    expect(endings.get(1)).toMatchObject({ error: { message: 'broken' } });
    expect(stepsOf(log, 1)).toHaveLength(2);
    expect(stepsOf(log, 3)).toEqual(['fill 3']);
  });
});

describe('a request whose keys and values have to be computed again', () => {
  it('is filled in pieces as a prompt, beside those that decode, and goes on', async () => {
    const { log, batch, submit, settle, kinds } = startScheduler();
    submit(new FakeSequence(1, { prompt: 100, answer: 4, againAt: 2 }));
    submit(new FakeSequence(2, { prompt: 1, answer: 8 }));
    await settle();
    expect(kinds()).toEqual({ 1: 'complete', 2: 'complete' });
    expect(stepsOf(log, 1)).toEqual(['fill 1', 'fill 1', 'decode 1 2', 'fill 1', 'fill 1', 'decode 1 2']);
    expect(batch.pieces).toEqual([64, 36, 64, 38]);
  });

  it('has had more service than one of another tenant that was computed once', async () => {
    const { batch, submit, settle } = startScheduler({ maxConcurrent: 1 });
    for (const [id, tenant] of ['again', 'once', 'again', 'once'].entries())
      submit(new FakeSequence(id, { prompt: 20, answer: 4, flow: { tenant }, againAt: id === 0 ? 2 : 0 }));
    await settle();
    expect(batch.firsts).toEqual([0, 1, 3, 2]);
  });
});

describe('keys and values of a request that is over', () => {
  it('are good for the next one of its conversation, unless a step of it failed', async () => {
    const { batch, submit, settle, scheduler, kinds } = startScheduler();
    submit(new FakeSequence(1));
    submit(new FakeSequence(2, { failAt: 2 }));
    submit(new FakeSequence(3, { answer: 100 }));
    await turns(12);
    scheduler.cancel(3);
    await settle();
    expect(kinds()).toEqual({ 1: 'complete', 2: 'failed', 3: 'cancelled' });
    expect(batch.good).toEqual([1, 3]);
  });
});

describe('places', () => {
  it('are for maxConcurrent at most; the others follow in order', async () => {
    const { batch, submit, settle } = startScheduler({ maxConcurrent: 2, rows: 9 });
    for (const id of [1, 2, 3, 4]) submit(new FakeSequence(id));
    await turns(2);
    expect([...batch.placed].map(({ id }) => id)).toEqual([1, 2]);
    await settle();
    expect(batch.firsts).toEqual([1, 2, 3, 4]);
  });

  it('are waited for while there is no room, by the next one and by those behind it', async () => {
    const { batch, submit, settle, kinds } = startScheduler({ tokens: 20 });
    submit(new FakeSequence(1, { prompt: 10, answer: 5 }));
    submit(new FakeSequence(2, { prompt: 10, answer: 5 }));
    submit(new FakeSequence(3, { prompt: 2, answer: 1 }));
    await turns(3);
    expect([...batch.placed].map(({ id }) => id)).toEqual([1]);
    await settle();
    expect(batch.firsts).toEqual([1, 2, 3]);
    expect(kinds()).toEqual({ 1: 'complete', 2: 'complete', 3: 'complete' });
  });

  it('go in turns to tenants, whoever asked for more of them', async () => {
    const { batch, submit, settle } = startScheduler({ maxConcurrent: 1, maxQueue: 9 });
    for (const id of [1, 2, 3, 4]) submit(new FakeSequence(id, { flow: { tenant: 'a' } }));
    for (const id of [5, 6]) submit(new FakeSequence(id, { flow: { tenant: 'b' } }));
    await settle();
    expect(batch.firsts).toEqual([1, 5, 2, 6, 3, 4]);
  });

  it('go to higher priorities first', async () => {
    const { batch, submit, settle } = startScheduler({ maxConcurrent: 1, maxQueue: 9 });
    submit(new FakeSequence(1));
    submit(new FakeSequence(2));
    submit(new FakeSequence(3, { flow: { priority: 1 } }));
    await settle();
    expect(batch.firsts).toEqual([3, 1, 2]);
  });
});

describe('a request more than fits', () => {
  it('is refused with QUEUE_FULL and a time to come back, before anything was done', async () => {
    const { submit, settle, endings, kinds } = startScheduler({ maxConcurrent: 1, maxQueue: 2 });
    for (const id of [1, 2, 3]) submit(new FakeSequence(id));
    expect(() => submit(new FakeSequence(4))).toThrow(
      expect.objectContaining({ code: 'QUEUE_FULL', retryAfterMs: 1000 }),
    );
    expect([...endings]).toEqual([]);
    await settle();
    expect(kinds()).toEqual({ 1: 'complete', 2: 'complete', 3: 'complete' });
  });

  it('may come back when those that wait are done, at the rate of late', async () => {
    const { clock, submit, settle } = startScheduler({ maxConcurrent: 1, maxQueue: 4 });
    for (const id of [1, 2, 3]) {
      submit(new FakeSequence(id, { prompt: 1, answer: 1 }));
      await settle();
      clock.advance(2000);
    }
    // Two requests in six seconds, since the first was over.
    for (const id of [4, 5, 6, 7, 8]) submit(new FakeSequence(id));
    expect(() => submit(new FakeSequence(9))).toThrow(
      expect.objectContaining({ code: 'QUEUE_FULL', retryAfterMs: 15_000 }),
    );
  });

  it('takes the place of the newest one of a tenant that fills the queue, which hears QUEUE_FULL', async () => {
    const { submit, settle, endings, kinds } = startScheduler({ maxConcurrent: 1, maxQueue: 2 });
    for (const id of [1, 2, 3]) submit(new FakeSequence(id, { flow: { tenant: 'greedy' } }));
    submit(new FakeSequence(4, { flow: { tenant: 'other' } }));
    expect([...endings]).toEqual([[3, { kind: 'failed', error: queueFull }]]);
    expect(() => submit(new FakeSequence(5, { flow: { tenant: 'greedy' } }))).toThrow(queueFull);
    await settle();
    expect(kinds()).toEqual({ 1: 'complete', 2: 'complete', 3: 'failed', 4: 'complete' });
  });

  it('is none that takes the place of one that has left, also while a step still runs', async () => {
    const { scheduler, submit, settle, kinds } = startScheduler({ maxConcurrent: 1, maxQueue: 2 });
    for (const id of [1, 2, 3]) submit(new FakeSequence(id));
    await turns(1);
    for (const id of [1, 3]) scheduler.cancel(id);
    for (const id of [4, 5]) submit(new FakeSequence(id));
    expect(() => submit(new FakeSequence(6))).toThrow(queueFull);
    await settle();
    expect(kinds()).toEqual({ 1: 'cancelled', 2: 'complete', 3: 'cancelled', 4: 'complete', 5: 'complete' });
  });

  it('is none that was paused: it has its place in the queue', async () => {
    const { submit, settle, kinds, log } = startScheduler({ maxConcurrent: 2, maxQueue: 1 });
    const greedy = { tenant: 'greedy' };
    for (const id of [1, 2]) submit(new FakeSequence(id, { prompt: 1, answer: 40, flow: greedy }));
    await turns(12);
    submit(new FakeSequence(3, { prompt: 1, answer: 40, flow: { tenant: 'other' } }));
    await turns(1);
    expect(log).toContain('pause 2');
    expect(() => submit(new FakeSequence(4, { flow: greedy }))).toThrow(queueFull);
    await settle();
    expect(kinds()).toEqual({ 1: 'complete', 2: 'complete', 3: 'complete' });
  });
});

describe('a request that is cancelled', () => {
  it('ends before its next step, running or waiting', async () => {
    const { log, submit, settle, scheduler, kinds } = startScheduler({ maxConcurrent: 1 });
    submit(new FakeSequence(1, { answer: 1000 }));
    submit(new FakeSequence(2));
    await turns(3);
    scheduler.cancel(2);
    scheduler.cancel(1);
    const steps = log.length;
    await turns(1);
    expect(kinds()).toEqual({ 1: 'cancelled', 2: 'cancelled' });
    await settle();
    expect(log).toHaveLength(steps);
  });

  it('has its step interrupted, which makes it cancelled and not failed', async () => {
    const { batch, submit, settle, scheduler, kinds } = startScheduler();
    submit(new FakeSequence(1, { failAt: 1 }));
    await turns(1);
    scheduler.cancel(1);
    expect(batch.interrupted).toEqual([1]);
    await settle();
    expect(kinds()).toEqual({ 1: 'cancelled' });
  });

  it('ends at once when its caller does not take its events, or when it is paused', async () => {
    const { log, batch, submit, settle, scheduler, kinds } = startScheduler({ maxConcurrent: 1 });
    submit(new FakeSequence(1, { prompt: 1, answer: 9, window: 8 }));
    await settle();
    submit(new FakeSequence(2, { prompt: 1, answer: 9, window: 2, flow: { priority: 1 } }));
    await settle();
    expect(log).toContain('pause 1');
    scheduler.cancel(1);
    await turns(1);
    expect(kinds()).toEqual({ 1: 'cancelled' });
    expect(batch.paused.size).toBe(0);
    scheduler.cancel(2);
    await turns(1);
    expect(kinds()).toEqual({ 1: 'cancelled', 2: 'cancelled' });
    expect(scheduler.size).toBe(0);
  });

  it('is nobody when the number is not known', async () => {
    const { submit, settle, scheduler, kinds } = startScheduler();
    submit(new FakeSequence(1));
    scheduler.cancel(2);
    await settle();
    scheduler.cancel(1);
    expect(kinds()).toEqual({ 1: 'complete' });
  });
});

describe('the scheduler that is stopped', () => {
  it('cancels everything after the present step and takes nothing more', async () => {
    const { log, submit, settle, scheduler, kinds, batch } = startScheduler({ maxConcurrent: 1 });
    submit(new FakeSequence(1, { answer: 1000 }));
    submit(new FakeSequence(2));
    await turns(3);
    scheduler.stop();
    const steps = log.length;
    await settle();
    expect(kinds()).toEqual({ 1: 'cancelled', 2: 'cancelled' });
    expect(log).toHaveLength(steps);
    expect(batch.placed.size).toBe(0);
    expect(() => submit(new FakeSequence(3))).toThrow(expect.objectContaining({ code: 'ENGINE_DOWN' }));
  });
});
