import * as fc from 'fast-check';
import { expect, it } from 'vitest';
import { type FakeParts, FakeSequence, startScheduler, turns } from './scheduler.fixture.ts';

/** Tokens that there is room for; no request needs more. */
const roomTokens = 120;

const flow = fc.record({
  tenant: fc.constantFrom('a', 'b', 'c'),
  adapter: fc.constantFrom('x', null),
  priority: fc.constantFrom(0, 0, 0, 1),
});
const parts: fc.Arbitrary<FakeParts> = fc.record({
  prompt: fc.oneof(fc.constant(1), fc.integer({ min: 1, max: 60 })),
  answer: fc.integer({ min: 1, max: 60 }),
  flow,
  failAt: fc.oneof(
    { weight: 4, arbitrary: fc.constant(0) },
    { weight: 1, arbitrary: fc.integer({ min: 1, max: 30 }) },
  ),
  window: fc.oneof(
    { weight: 3, arbitrary: fc.constant(Infinity) },
    { weight: 1, arbitrary: fc.integer({ min: 0, max: 9 }) },
  ),
  againAt: fc.oneof(
    { weight: 4, arbitrary: fc.constant(0) },
    { weight: 1, arbitrary: fc.integer({ min: 1, max: 30 }) },
  ),
});
const which = fc.nat(99);
const event = fc.oneof(
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('come' as const), parts }) },
  {
    weight: 4,
    arbitrary: fc.record({ kind: fc.constant('run' as const), turns: fc.integer({ min: 1, max: 20 }) }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('cancel' as const), which }) },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('take' as const),
      which,
      events: fc.integer({ min: 1, max: 20 }),
    }),
  },
);
type Event = typeof event extends fc.Arbitrary<infer T> ? T : never;

const settings = fc.record({
  maxConcurrent: fc.integer({ min: 1, max: 5 }),
  maxQueue: fc.integer({ min: 0, max: 8 }),
  rows: fc.integer({ min: 1, max: 5 }),
  tokens: fc.constantFrom(roomTokens, roomTokens, 2 * roomTokens, Infinity),
  /** Whose pause is refused, where there is room for all. */
  refused: fc.subarray([0, 1, 2, 3, 4]),
  /** What is left of the tokens of those that are paused. */
  left: fc.constantFrom(0, 30, Infinity),
});

/** Plays events, then lets everything come to its end; what the places throw ends the run. */
const play = async (
  given: typeof settings extends fc.Arbitrary<infer T> ? T : never,
  events: readonly Event[],
) => {
  const { refused, left, ...options } = given;
  const scheduled = startScheduler({
    ...options,
    refusesPause: ({ id }) => options.tokens === Infinity && refused.includes(id % 5),
    keeps: () => left,
  });
  const { scheduler, submit } = scheduled;
  const accepted: FakeSequence[] = [];
  const cancelled = new Set<number>();
  const at = (index: number): FakeSequence | undefined => accepted[index % Math.max(1, accepted.length)];
  let ids = 0;
  const come = (sequence: FakeSequence): void => {
    try {
      submit(sequence);
      accepted.push(sequence);
    } catch (error) {
      expect(error).toMatchObject({ code: 'QUEUE_FULL' });
    }
  };
  for (const one of events) {
    if (one.kind === 'come') come(new FakeSequence(ids++, one.parts));
    else if (one.kind === 'run') await turns(one.turns);
    else if (one.kind === 'take') scheduler.taken(at(one.which)?.id ?? -1, one.events);
    else {
      const { id = -1 } = at(one.which) ?? {};
      if (!scheduled.endings.has(id)) cancelled.add(id);
      scheduler.cancel(id);
    }
  }
  for (const { id } of accepted) scheduler.taken(id, Infinity);
  await scheduled.settle();
  return { ...scheduled, accepted, cancelled };
};

it('every sequence ends once, as it should, and nothing runs against the rules, whatever comes', async () => {
  let pauses = 0;
  await fc.assert(
    fc.asyncProperty(settings, fc.array(event, { minLength: 10, maxLength: 60 }), async (given, events) => {
      const { accepted, cancelled, endings, scheduler, batch, log } = await play(given, events);
      expect(scheduler.size).toBe(0);
      expect([batch.placed.size, batch.paused.size]).toEqual([0, 0]);
      for (const { id, given: tokens, answer, failAt } of accepted) {
        const ending = endings.get(id);
        if (ending?.kind === 'cancelled') expect(cancelled.has(id)).toBe(true);
        else if (ending?.kind === 'complete') expect(tokens).toBe(answer);
        else if (tokens > 0) expect(tokens).toBe(failAt - 1);
        else {
          expect(ending).toMatchObject({ kind: 'failed' });
          if (failAt !== 1) expect(ending).toMatchObject({ error: { code: 'QUEUE_FULL' } });
        }
      }
      pauses += log.filter((step) => step.startsWith('pause')).length;
    }),
    { numRuns: 150 },
  );
  expect(pauses).toBeGreaterThan(0);
});

it('requests of one tenant, adapter and priority get their first places in the order in which they came', async () => {
  await fc.assert(
    fc.asyncProperty(settings, fc.array(event, { minLength: 10, maxLength: 60 }), async (given, events) => {
      const { accepted, batch } = await play(given, events);
      const flows = Map.groupBy(accepted, (sequence) => JSON.stringify(sequence.flow));
      for (const ids of [...flows.values()].map((own) => own.map(({ id }) => id))) {
        const firsts = batch.firsts.filter((id) => ids.includes(id));
        expect(firsts).toEqual(firsts.toSorted((a, b) => a - b));
      }
    }),
    { numRuns: 100 },
  );
});

it('whoever waits gets a place after a bounded number of steps, however many others keep coming', async () => {
  await fc.assert(
    fc.asyncProperty(settings, fc.array(parts, { minLength: 40, maxLength: 40 }), async (given, others) => {
      const { refused: _refused, left, ...options } = given;
      const started = startScheduler({ ...options, maxQueue: 6, keeps: () => left });
      const { submit, batch, scheduler, log } = started;
      let ids = 1;
      const come = (rest: FakeParts): void => {
        try {
          submit(
            new FakeSequence(ids++, {
              ...rest,
              failAt: 0,
              window: Infinity,
              flow: { ...rest.flow, tenant: 'busy' },
            }),
          );
        } catch (error) {
          expect(error).toMatchObject({ code: 'QUEUE_FULL' });
        }
      };
      for (const one of others.slice(0, 10)) come(one);
      await turns(5);
      const before = log.length;
      submit(new FakeSequence(0, { prompt: 60, answer: 60, flow: { tenant: 'rare', priority: 0 } }));
      let asked = 0;
      while (!batch.firsts.includes(0) && log.length - before < 4000) {
        come(others[asked++ % others.length]!);
        await turns(3);
      }
      expect(batch.firsts).toContain(0);
      scheduler.stop();
      await turns(3);
    }),
    { numRuns: 60 },
  );
});
