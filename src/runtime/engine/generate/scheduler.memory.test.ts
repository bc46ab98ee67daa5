import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { FakeSequence, startScheduler, turns } from './scheduler.fixture.ts';

const sure = { namespace: 'a', kvGuaranteed: 50 };
const other = { namespace: 'b' };

describe('memory that is guaranteed to a namespace', () => {
  /** Two of another namespace have all of it, and a third one waits for some. */
  const startFull = async (before = 12) => {
    const started = startScheduler({ maxConcurrent: 8, tokens: 100 });
    for (const id of [1, 2]) started.submit(new FakeSequence(id, { prompt: 35, answer: 60, flow: other }));
    await turns(before);
    started.submit(new FakeSequence(3, { prompt: 60, answer: 30, flow: other }));
    await turns(2);
    expect([...started.batch.placed].map(({ id }) => id)).toEqual([1, 2]);
    return started;
  };

  it('is taken at once from who has more than is guaranteed to it, also while another one is first in the queue', async () => {
    const { batch, submit, settle, kinds, log } = await startFull();
    submit(new FakeSequence(4, { prompt: 20, answer: 9, flow: sure }));
    await turns(2);
    expect([...batch.placed].map(({ id }) => id)).toContain(4);
    await settle();
    expect(log).not.toContain('pause 4');
    expect(kinds()).toEqual({ 1: 'complete', 2: 'complete', 3: 'complete', 4: 'complete' });
  });

  it('is not there for more than it: that waits until those who have it gave some tokens, as others do', async () => {
    const { batch, submit, settle, kinds } = await startFull(6);
    submit(new FakeSequence(4, { prompt: 45, answer: 9, flow: sure }));
    await turns(2);
    expect([...batch.placed].map(({ id }) => id)).not.toContain(4);
    await settle();
    expect(kinds()).toEqual({ 1: 'complete', 2: 'complete', 3: 'complete', 4: 'complete' });
  });
});

it('for lack of memory no row is paused within what is guaranteed to its namespace, and all come to their ends', async () => {
  const request = fc.record({
    prompt: fc.integer({ min: 1, max: 60 }),
    answer: fc.integer({ min: 1, max: 60 }),
    flow: fc.record({ namespace: fc.constantFrom('a', 'b', 'c'), tenant: fc.constant('') }),
  });
  const guaranteed: Readonly<Record<string, number>> = { a: 60, b: 40, c: 0 };
  let pauses = 0;
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.tuple(request, fc.integer({ min: 0, max: 20 })), { minLength: 4, maxLength: 20 }),
      async (requests) => {
        // Rows enough: it is for memory that somebody makes way.
        const { batch, submit, settle, kinds } = startScheduler({
          maxConcurrent: 20,
          maxQueue: 99,
          tokens: 120,
          pausesPrompts: true,
          keepsBeginnings: true,
        });
        const pause = batch.pause.bind(batch);
        batch.pause = (sequence) => {
          pauses += 1;
          const { namespace = '' } = sequence.flow;
          const own = [...batch.placed].filter(({ flow }) => flow.namespace === namespace);
          const bytes = own.reduce((sum, one) => sum + batch.kvBytes(one), 0);
          expect(bytes).toBeGreaterThan(guaranteed[namespace] ?? 0);
          return pause(sequence);
        };
        for (const [id, [{ flow, ...parts }, wait]] of requests.entries()) {
          const kvGuaranteed = guaranteed[flow.namespace] ?? 0;
          submit(new FakeSequence(id, { ...parts, flow: { ...flow, kvGuaranteed } }));
          await turns(wait);
        }
        await settle();
        expect(Object.values(kinds())).toEqual(requests.map(() => 'complete'));
      },
    ),
    { numRuns: 150 },
  );
  expect(pauses).toBeGreaterThan(0);
});
