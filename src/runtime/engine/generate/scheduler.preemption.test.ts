import { describe, expect, it } from 'vitest';
import { overdueMs } from '../schedule/fair-queue.ts';
import { FakeSequence, startScheduler, turns } from './scheduler.fixture.ts';

/** The steps that a sequence took part in. */
const stepsOf = (log: readonly string[], id: number): readonly string[] =>
  log.filter((step) => step.split(' ').slice(1).includes(String(id)));

describe('a tenant without a place', () => {
  const [greedy, other] = [{ tenant: 'greedy' }, { tenant: 'other' }];
  const long = { prompt: 1, answer: 40 };

  it('gets one at once from a tenant with several, whose paused request comes back and gives all of its tokens', async () => {
    const { log, submit, settle, kinds, batch } = startScheduler({ maxConcurrent: 3 });
    const greedies = [1, 2, 3].map((id) => submit(new FakeSequence(id, { ...long, flow: greedy })));
    await turns(12);
    submit(new FakeSequence(4, { prompt: 5, answer: 9, flow: other }));
    await turns(2);
    expect([...batch.placed].map(({ id }) => id)).toEqual([1, 2, 4]);
    expect(batch.paused.has(greedies[2]!)).toBe(true);
    await settle();
    expect(kinds()).toEqual({ 1: 'complete', 2: 'complete', 3: 'complete', 4: 'complete' });
    expect(greedies.map(({ given }) => given)).toEqual([40, 40, 40]);
    expect(log.filter((step) => step.startsWith('pause'))).toEqual(['pause 3']);
    expect(stepsOf(log, 3).filter((step) => step.startsWith('fill'))).toEqual([]);
  });

  it('gets its turn by the tokens that the other was given, not by their steps', async () => {
    const stepsBefore = async (perStep: number): Promise<number> => {
      const { log, submit, settle } = startScheduler({ maxConcurrent: 1 });
      submit(new FakeSequence(1, { prompt: 1, answer: 500, perStep, flow: greedy }));
      await turns(2);
      submit(new FakeSequence(2, { prompt: 1, answer: 50, flow: other }));
      await settle();
      return log.indexOf('pause 1');
    };
    const one = await stepsBefore(1);
    expect(one).toBeGreaterThan(100);
    expect(Math.abs((await stepsBefore(4)) - one / 4)).toBeLessThan(3);
  });

  it('waits while none can be paused, and gets the next place that is free', async () => {
    const { batch, log, submit, settle } = startScheduler({ maxConcurrent: 2, refusesPause: () => true });
    for (const id of [1, 2, 3]) submit(new FakeSequence(id, { ...long, flow: greedy }));
    await turns(12);
    submit(new FakeSequence(4, { ...long, flow: other }));
    await settle();
    expect(log.some((step) => step.startsWith('pause'))).toBe(false);
    expect(batch.firsts).toEqual([1, 2, 4, 3]);
  });

  it('gets the only one in turns, so that neither waits for the whole answer of the other', async () => {
    const { log, submit, settle, kinds } = startScheduler({ maxConcurrent: 1 });
    submit(new FakeSequence(1, { prompt: 1, answer: 500, flow: greedy }));
    await turns(2);
    submit(new FakeSequence(2, { prompt: 1, answer: 500, flow: other }));
    await settle();
    const pauses = log.filter((step) => step.startsWith('pause'));
    expect(pauses.length).toBeGreaterThan(2);
    expect(pauses.every((step, at) => step === `pause ${1 + (at % 2)}`)).toBe(true);
    expect(kinds()).toEqual({ 1: 'complete', 2: 'complete' });
  });
});

describe('an adapter of a tenant whose other adapters have all places', () => {
  const of = (adapter: string) => ({ tenant: 't', adapter });

  it('waits until it is overdue, then takes turns with them', async () => {
    const { batch, clock, log, scheduler, submit, settle, kinds } = startScheduler({ maxConcurrent: 2 });
    for (const id of [1, 2]) submit(new FakeSequence(id, { prompt: 1, answer: 400, flow: of(`${id}`) }));
    await turns(12);
    submit(new FakeSequence(3, { prompt: 1, answer: 20, flow: of('3') }));
    await turns(12);
    expect([...batch.placed].map(({ id }) => id)).toEqual([1, 2]);
    clock.advance(overdueMs + 1);
    await turns(3);
    expect([...batch.placed].map(({ id }) => id)).toEqual([1, 3]);
    expect(scheduler.load.overdueTurns).toBe(1);
    await settle();
    expect(kinds()).toEqual({ 1: 'complete', 2: 'complete', 3: 'complete' });
    expect(log.filter((step) => step.startsWith('pause'))).toEqual(['pause 2']);
  });

  it('takes the place of one whose caller does not take its events, also while nothing else runs', async () => {
    const { batch, clock, submit, settle, kinds } = startScheduler({ maxConcurrent: 1 });
    submit(new FakeSequence(1, { prompt: 1, answer: 9, window: 2, flow: { namespace: 'a', tenant: '' } }));
    await settle();
    submit(new FakeSequence(2, { prompt: 1, answer: 3, flow: { namespace: 'b', tenant: '' } }));
    await settle();
    expect([...batch.placed].map(({ id }) => id)).toEqual([1]);
    clock.advance(overdueMs + 1);
    await settle();
    expect(kinds()).toEqual({ 2: 'complete' });
  });
});

describe('a namespace with fewer rows than are guaranteed to it', () => {
  it('gets one at once, also while the prompts of those that have all are computed', async () => {
    const { batch, submit, settle, kinds } = startScheduler({ maxConcurrent: 2, pausesPrompts: true });
    batch.msPerToken = 10;
    const greedy = [1, 2].map((id) =>
      submit(new FakeSequence(id, { prompt: 500, flow: { namespace: 'a' } })),
    );
    await turns(3);
    const sure = { namespace: 'b', guaranteed: 1 };
    submit(new FakeSequence(3, { prompt: 5, answer: 3, flow: sure }));
    await turns(2);
    expect([...batch.placed].map(({ id }) => id)).toEqual([1, 3]);
    await settle();
    expect(kinds()).toEqual({ 1: 'complete', 2: 'complete', 3: 'complete' });
    expect(greedy.map(({ given }) => given)).toEqual([3, 3]);
  });
});

describe('the prompt of a newcomer that had less', () => {
  const greedy = { namespace: 'a', guaranteed: 1 };
  const long = { prompt: 500, answer: 3, flow: greedy };
  /** One of `a` decodes, and a piece of the prompt of another one has the present step. */
  const startGreedy = async () => {
    const started = startScheduler({ maxConcurrent: 4, pausesPrompts: true });
    started.submit(new FakeSequence(1, { prompt: 1, answer: 90, flow: greedy }));
    started.submit(new FakeSequence(2, long));
    await until(started.log, 'fill 2');
    return started;
  };
  const until = async (log: readonly string[], step: string): Promise<void> => {
    for (let turn = 0; turn < 100 && log.at(-1) !== step; turn += 1) await turns(1);
    expect(log.at(-1)).toBe(step);
  };
  const fillsInARow = (log: readonly string[]): number =>
    Math.max(
      ...log
        .map((step) => step.slice(0, 1))
        .join('')
        .split('d')
        .map(({ length }) => length),
    );

  it('goes right after the present piece of another one, and those who decode wait for two pieces at most', async () => {
    const { log, submit, settle, batch, kinds } = await startGreedy();
    const from = log.length;
    submit(new FakeSequence(3, { prompt: 5, flow: { namespace: 'b' } }));
    submit(new FakeSequence(4, { prompt: 5, flow: { namespace: 'c' } }));
    await settle();
    expect(log.slice(from, from + 4)).toEqual(['fill 3', 'decode 1 3', 'fill 4', 'decode 1 3 4']);
    expect(fillsInARow(log)).toBe(2);
    expect(batch.interrupted).toEqual([]);
    expect(kinds()).toEqual({ 1: 'complete', 2: 'complete', 3: 'complete', 4: 'complete' });
  });

  it('that its namespace is sure to run waits for no piece: that is computed again', async () => {
    const { log, submit, settle, batch, kinds } = await startGreedy();
    const before = batch.pieces.length;
    submit(new FakeSequence(3, { prompt: 5, flow: { namespace: 'b', guaranteed: 1 } }));
    await settle();
    expect(batch.interrupted).toEqual([2]);
    expect(log.slice(log.lastIndexOf('fill 3') - 1)[0]).toBe('fill 2');
    expect(batch.pieces.slice(before - 1, before + 2)).toEqual([64, 5, 64]);
    const ofPrompt = batch.pieces.reduce((all, one) => all + one, 0);
    expect(ofPrompt).toBe(500 + 5 + 64);
    expect(kinds()).toEqual({ 1: 'complete', 2: 'complete', 3: 'complete' });
  });

  it('however many come, a piece makes way once, so that the other prompt is computed', async () => {
    const { log, submit, settle, batch, kinds } = await startGreedy();
    for (let id = 3; id < 40; id += 1) {
      submit(new FakeSequence(id, { prompt: 1, answer: 1, flow: { namespace: 'b', guaranteed: 1 } }));
      const { length } = log;
      for (let turn = 0; turn < 9 && !(log.length > length && log.at(-1) === 'fill 2'); turn += 1)
        await turns(1);
    }
    await settle();
    expect(batch.interrupted.length).toBeGreaterThan(1);
    expect(batch.interrupted.length).toBeLessThanOrEqual(Math.ceil(500 / 64));
    expect(kinds()).toMatchObject({ 1: 'complete', 2: 'complete', 39: 'complete' });
  });

  it('that its namespace is sure to run takes every other piece at least, whatever that had', async () => {
    const { log, submit, settle, batch } = await startGreedy();
    const flow = { namespace: 'b', guaranteed: 1 };
    submit(new FakeSequence(3, { prompt: 130, answer: 1, flow, loadedBytes: 2 ** 30 }));
    await settle();
    expect(batch.interrupted).toEqual([2]);
    const fills = log.slice(log.indexOf('fill 3')).filter((step) => step.startsWith('fill'));
    expect(fills.slice(0, 5)).toEqual(['fill 3', 'fill 2', 'fill 3', 'fill 2', 'fill 3']);
  });

  it('comes first also when its row was taken from the prompt that was computed, whose rest is not charged then', async () => {
    const { batch, log, submit } = startScheduler({ maxConcurrent: 3, pausesPrompts: true });
    for (const id of [1, 2, 3]) submit(new FakeSequence(id, long));
    await until(log, 'fill 1');
    submit(new FakeSequence(4, { prompt: 27, answer: 3, flow: { namespace: 'b', guaranteed: 1 } }));
    await turns(4);
    expect(batch.placed.size).toBe(3);
    const pause = log.findIndex((step) => step.startsWith('pause'));
    expect(log.slice(pause, pause + 2)).toEqual(['pause 3', 'fill 4']);
  });

  it('takes turns with that of another namespace which is sure to run as well', async () => {
    const { log, submit, settle } = startScheduler({ maxConcurrent: 4 });
    submit(new FakeSequence(1, { ...long, answer: 1 }));
    await until(log, 'fill 1');
    submit(new FakeSequence(2, { prompt: 130, answer: 1, flow: { namespace: 'b', guaranteed: 1 } }));
    await settle();
    expect(log.slice(0, 6)).toEqual(['fill 1', 'fill 2', 'fill 1', 'fill 2', 'fill 1', 'fill 2']);
  });

  it('makes nobody wait who has no more than is guaranteed to it', async () => {
    const { submit, settle, batch, log } = startScheduler({ maxConcurrent: 4 });
    submit(new FakeSequence(1, long));
    await until(log, 'fill 1');
    submit(new FakeSequence(2, { prompt: 5, flow: { namespace: 'b', guaranteed: 1 } }));
    await settle();
    expect(batch.interrupted).toEqual([]);
  });
});

describe('what was charged for a prompt', () => {
  it('and was not computed is given back when its caller leaves', async () => {
    const { batch, scheduler, submit, settle, endings } = startScheduler({ maxConcurrent: 1 });
    batch.msPerToken = 10;
    const busy = { prompt: 1, answer: 100 };
    submit(new FakeSequence(1, { prompt: 10_000, flow: { namespace: 'a' } }));
    await turns(2);
    submit(new FakeSequence(2, { ...busy, flow: { namespace: 'b' } }));
    submit(new FakeSequence(3, { ...busy, prompt: 300, flow: { namespace: 'b' } }));
    submit(new FakeSequence(4, { ...busy, flow: { namespace: 'a' } }));
    scheduler.cancel(1);
    await settle();
    // What was computed of the prompt of 10,000 is less than the answer of 100.
    expect([...endings.keys()]).toEqual([1, 2, 4, 3]);
  });
});

describe('adapters that were loaded for a namespace', () => {
  it('count as tokens of the request that comes with them', async () => {
    const { submit, settle, endings } = startScheduler({ maxConcurrent: 1 });
    const flows = [{ namespace: 'a' }, { namespace: 'b' }];
    submit(new FakeSequence(1, { flow: { namespace: 'c' } }));
    for (const id of [2, 3]) submit(new FakeSequence(id, { flow: flows[0]!, loadedBytes: 50 << 20 }));
    for (const id of [4, 5, 6]) submit(new FakeSequence(id, { flow: flows[1]! }));
    await settle();
    expect([...endings.keys()]).toEqual([1, 4, 5, 6, 2, 3]);
  });
});

describe('a request of a higher priority', () => {
  it('takes the place of a lower one, which goes on after it', async () => {
    const { batch, submit, settle, endings } = startScheduler({ maxConcurrent: 1 });
    submit(new FakeSequence(1, { prompt: 1, answer: 30 }));
    await turns(12);
    submit(new FakeSequence(2, { prompt: 5, answer: 30, flow: { priority: 1 } }));
    await turns(2);
    expect([...batch.placed].map(({ id }) => id)).toEqual([2]);
    await settle();
    expect([...endings]).toEqual([
      [2, { kind: 'complete' }],
      [1, { kind: 'complete' }],
    ]);
  });

  it('waits for those that have just got their places', async () => {
    const { log, submit, settle, endings } = startScheduler({ maxConcurrent: 1 });
    submit(new FakeSequence(1, { prompt: 1, answer: 8 }));
    await turns(2);
    submit(new FakeSequence(2, { flow: { priority: 1 } }));
    await settle();
    expect(log.some((step) => step.startsWith('pause'))).toBe(false);
    expect([...endings.keys()]).toEqual([1, 2]);
  });
});

describe('requests that are paused', () => {
  const [a, b, c] = ['a', 'b', 'c'].map((tenant) => ({ tenant }));
  const long = { prompt: 1, answer: 40 };
  /** Needs all of the room. */
  const large = { prompt: 95, answer: 5 };

  it('are none that would make way in vain', async () => {
    const { log, batch, submit, settle } = startScheduler({ maxConcurrent: 3, tokens: 100 });
    for (const [id, flow] of [a, b, b].entries())
      submit(new FakeSequence(id, { prompt: 1, answer: 28, flow: flow! }));
    await turns(12);
    // The request of a tenant with one place does not make way.
    submit(new FakeSequence(3, { ...large, flow: c! }));
    await settle();
    expect(log.filter((step) => step.startsWith('pause'))).toEqual([]);
    expect(batch.firsts).toEqual([0, 1, 2, 3]);
  });

  it('leave all of their room to the one that is next', async () => {
    const { log, submit, settle, endings } = startScheduler({ maxConcurrent: 2, tokens: 100 });
    for (const id of [1, 2]) submit(new FakeSequence(id, { ...long, flow: a! }));
    await turns(12);
    submit(new FakeSequence(3, { ...long, flow: b! }));
    await turns(2);
    expect(log).toContain('pause 2');
    submit(new FakeSequence(4, { ...large, flow: { ...c, priority: 1 } }));
    await settle();
    expect(endings.size).toBe(4);
    expect(new Set([...endings.values()].map(({ kind }) => kind))).toEqual(new Set(['complete']));
  });

  it('run again what is not there any more, before they give their next token', async () => {
    const { log, submit, settle, kinds } = startScheduler({ maxConcurrent: 1, keeps: () => 3 });
    const first = submit(new FakeSequence(1, { prompt: 5, answer: 30, flow: a! }));
    await turns(14);
    submit(new FakeSequence(2, { prompt: 5, answer: 30, flow: { ...b, priority: 1 } }));
    await settle();
    expect(kinds()).toEqual({ 1: 'complete', 2: 'complete' });
    expect(first.given).toBe(30);
    expect(log.filter((step) => step === 'fill 1')).toHaveLength(2);
  });
});
