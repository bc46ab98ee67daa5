import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type FakeParts, FakeSequence, startScheduler, turns } from './scheduler.fixture.ts';

/** Those that take part in a step. */
const idsOf = (step: string): readonly string[] => step.split(' ').slice(1);
const most = (log: readonly string[]): number =>
  Math.max(...log.filter((step) => step.startsWith('decode')).map((step) => idsOf(step).length));

describe('sequences that grow', () => {
  it('run at the same time although not all of what they may become fits', async () => {
    const { log, submit, settle, kinds } = startScheduler({ maxConcurrent: 4, tokens: 100 });
    for (const id of [1, 2, 3, 4]) submit(new FakeSequence(id, { prompt: 10, answer: 80 }));
    await settle();
    expect(kinds()).toEqual({ 1: 'complete', 2: 'complete', 3: 'complete', 4: 'complete' });
    expect(most(log)).toBe(4);
  });

  it('make way where memory is full: who came last first, and the first one never', async () => {
    const { log, submit, settle, endings } = startScheduler({ maxConcurrent: 3, tokens: 100 });
    for (const id of [1, 2, 3]) submit(new FakeSequence(id, { prompt: 10, answer: 80 }));
    await settle();
    const pauses = log.filter((step) => step.startsWith('pause'));
    expect(pauses.slice(0, 2)).toEqual(['pause 3', 'pause 2']);
    expect(pauses).not.toContain('pause 1');
    expect([...endings.keys()]).toEqual([1, 2, 3]);
  });

  it('of a lower priority, then of the tenant with more of them, make way before others', async () => {
    const { log, submit, settle } = startScheduler({ maxConcurrent: 4, tokens: 100 });
    const flows = [{ priority: -1 }, { tenant: 'a' }, { tenant: 'a' }, { tenant: 'b' }];
    for (const [id, flow] of flows.entries()) submit(new FakeSequence(id, { prompt: 10, answer: 80, flow }));
    await settle();
    const [first, second] = log.filter((step) => step.startsWith('pause'));
    expect([first, second]).toEqual(['pause 0', 'pause 2']);
  });

  it('that stand still for their callers make way, and come back', async () => {
    const { scheduler, submit, settle, kinds } = startScheduler({ maxConcurrent: 2, tokens: 100 });
    submit(new FakeSequence(1, { prompt: 40, answer: 50, window: 9 }));
    submit(new FakeSequence(2, { prompt: 10, answer: 80 }));
    await settle();
    expect(kinds()).toEqual({ 2: 'complete' });
    scheduler.taken(1, Infinity);
    await settle();
    expect(kinds()).toEqual({ 1: 'complete', 2: 'complete' });
  });
});

it('whoever is paused has given tokens since it got its place, and all come to their ends, whatever is left of them', async () => {
  const request: fc.Arbitrary<FakeParts> = fc.record({
    prompt: fc.integer({ min: 1, max: 60 }),
    answer: fc.integer({ min: 1, max: 60 }),
    flow: fc.record({ tenant: fc.constantFrom('a', 'b', 'c'), priority: fc.constantFrom(0, 0, 1) }),
  });
  let pauses = 0;
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 2, max: 6 }),
      fc.constantFrom(0, 20, Infinity),
      fc.array(fc.tuple(request, fc.integer({ min: 0, max: 20 })), { minLength: 4, maxLength: 20 }),
      async (maxConcurrent, left, requests) => {
        const { batch, log, submit, settle, kinds } = startScheduler({
          maxConcurrent,
          maxQueue: 99,
          tokens: 120,
          keeps: () => left,
        });
        const all: FakeSequence[] = [];
        for (const [id, [parts, wait]] of requests.entries()) {
          all.push(submit(new FakeSequence(id, parts)));
          await turns(wait);
        }
        await settle();
        expect(Object.values(kinds())).toEqual(all.map(() => 'complete'));
        expect(all.map(({ given }) => given)).toEqual(all.map(({ answer }) => answer));
        expect(batch.placed.size).toBe(0);
        const since = new Map<string, number>();
        for (const step of log) {
          for (const id of idsOf(step)) {
            if (step.startsWith('decode')) since.set(id, (since.get(id) ?? 0) + 1);
            else if (step.startsWith('pause')) {
              expect(since.get(id)).toBeGreaterThanOrEqual(8);
              since.delete(id);
              pauses += 1;
            }
          }
        }
      },
    ),
    { numRuns: 150 },
  );
  expect(pauses).toBeGreaterThan(0);
});
