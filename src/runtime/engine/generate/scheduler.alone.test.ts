import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  type FakeParts,
  FakeSequence,
  type StartOptions,
  startScheduler,
  turns,
} from './scheduler.fixture.ts';

const other = { namespace: 'b' };

/**
 * A node whose memory is 100 tokens, of which a namespace keeps the 60 that are guaranteed to it, whose clients ask again as soon as
 * they have their answers.
 */
const startKept = async (options: StartOptions = {}, flow: FakeParts['flow'] = {}) => {
  const started = startScheduler({
    maxConcurrent: 8,
    tokens: 100,
    pausesPrompts: true,
    keepsBeginnings: true,
    keeps: () => 0,
    ...options,
  });
  const { submit, batch, clock, kinds, settle } = started;
  const sure = { namespace: 'g', kvGuaranteed: 60, ...flow };
  let ids = 1000;
  const ask = (parts: FakeParts = {}): FakeSequence =>
    submit(new FakeSequence(ids++, { prompt: 20, answer: 6, ...parts, flow: sure }));
  ask({ prompt: 55, answer: 5 });
  await settle();
  /** What others gave since they got their places, each time that one was paused. */
  const pausedAfter: number[] = [];
  const places = new Map<FakeSequence, number>();
  const [place, pause] = [batch.place.bind(batch), batch.pause.bind(batch)];
  batch.place = (sequence) => {
    places.set(sequence, sequence.given);
    return place(sequence);
  };
  batch.pause = (sequence) => {
    if (sequence.flow.namespace === 'b') pausedAfter.push(sequence.given - (places.get(sequence) ?? 0));
    return pause(sequence);
  };
  /** Keeps so many clients busy until this holds; false when it does not within ten minutes. */
  const untilBusy = async (
    holds: () => boolean,
    clients = [{}, {}] as readonly FakeParts[],
  ): Promise<boolean> => {
    const open = clients.map((parts) => ask(parts));
    for (let tenths = 0; tenths < 6000 && !holds(); tenths += 1) {
      for (const [client, one] of open.entries())
        if (kinds()[one.id] !== undefined) open[client] = ask(clients[client]);
      clock.advance(100);
      await turns(1);
    }
    return holds();
  };
  return { ...started, ask, untilBusy, pausedAfter };
};

describe('a request that has no room beside what is guaranteed to another namespace', () => {
  it.each([
    ['keeps', {}],
    ['keeps and has rows for', { guaranteed: 2 }],
  ])('gets it after a while, however often that one asks for what it %s', async (_, flow) => {
    const { submit, untilBusy, kinds } = await startKept({}, flow);
    const waits = untilBusy(() => kinds()[1] !== undefined);
    await turns(5);
    submit(new FakeSequence(1, { prompt: 45, answer: 5, flow: other }));
    expect(await waits).toBe(true);
    expect(kinds()[1]).toBe('complete');
  });

  it('gets it also beside rows that are guaranteed without memory', async () => {
    const { submit, untilBusy, kinds } = await startKept(
      {},
      { namespace: 'h', guaranteed: 1, kvGuaranteed: 0 },
    );
    const waits = untilBusy(() => kinds()[1] !== undefined, [{ prompt: 60 }, { prompt: 60 }]);
    await turns(5);
    submit(new FakeSequence(1, { prompt: 45, answer: 5, flow: other }));
    expect(await waits).toBe(true);
  });

  it('keeps it until its prompt is computed and gave some tokens, so that it comes to its end', async () => {
    const { submit, ask, batch, untilBusy, kinds, pausedAfter } = await startKept();
    batch.msPerToken = 10;
    submit(new FakeSequence(1, { prompt: 60, answer: 30, flow: other }));
    await turns(2);
    expect([...batch.placed].map(({ id }) => id)).toEqual([1]);
    ask();
    expect(await untilBusy(() => kinds()[1] !== undefined)).toBe(true);
    expect(pausedAfter.length).toBeGreaterThan(0);
    expect(Math.min(...pausedAfter)).toBeGreaterThanOrEqual(8);
  });

  it('waits for nobody whose caller takes nothing, and holds up nobody when its own does so', async () => {
    const { submit, ask, batch, clock, scheduler, kinds, settle } = await startKept();
    ask({ window: 1 });
    await turns(5);
    const waits = submit(new FakeSequence(1, { prompt: 45, answer: 20, window: 2, flow: other }));
    await settle();
    expect(batch.firsts).not.toContain(1);
    clock.advance(5002);
    await settle();
    expect(waits.given).toBe(2);
    const { id } = ask();
    await settle();
    expect(kinds()[id]).toBe('complete');
    scheduler.taken(1, 99);
    for (let seconds = 0; seconds < 20; seconds += 1) {
      clock.advance(1000);
      await settle();
    }
    expect(kinds()[1]).toBe('complete');
  });
});

it('every request comes to its end beside clients that ask for ever for memory that is guaranteed to them, whatever they are', async () => {
  const size = { prompt: fc.integer({ min: 1, max: 60 }), answer: fc.integer({ min: 1, max: 40 }) };
  const within = { prompt: fc.integer({ min: 1, max: 40 }), answer: fc.integer({ min: 1, max: 20 }) };
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.record(size), { minLength: 1, maxLength: 3 }),
      fc.array(fc.record(within), { minLength: 1, maxLength: 3 }),
      async (requests, clients) => {
        const { submit, untilBusy, kinds } = await startKept();
        for (const [id, parts] of requests.entries()) submit(new FakeSequence(id, { ...parts, flow: other }));
        expect(await untilBusy(() => requests.every((_, id) => kinds()[id] === 'complete'), clients)).toBe(
          true,
        );
      },
    ),
    { numRuns: 60, endOnFailure: true },
  );
});
