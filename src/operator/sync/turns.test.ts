import * as fc from 'fast-check';
import { expect, it } from 'vitest';
import { FakeClock } from '../../time/fake-clock.ts';
import { Turns } from './turns.ts';

const options = { atOnce: 2, longestMs: 1000, patienceMs: 8000, maxWaiting: 50, retryAfterMs: 5000 };
const settle = async (): Promise<void> => {
  for (let turn = 0; turn < 10; turn++) await Promise.resolve();
};

/** Those who come, and what became of each. */
const start = () => {
  const clock = new FakeClock();
  const turns = new Turns({ ...options, clock });
  const began: string[] = [];
  const failed = new Map<string, unknown>();
  const ends = new Map<string, () => void>();
  const leaves = new Map<string, AbortController>();
  const come = (name: string, isUrgent = false): void => {
    const left = new AbortController();
    leaves.set(name, left);
    const take = async (): Promise<void> => {
      ends.set(name, await turns.take(left.signal, isUrgent));
      began.push(name);
    };
    take().catch((error: unknown) => failed.set(name, error));
  };
  return { clock, turns, began, failed, ends, leaves, come };
};

it('takes so many at a time, urgent ones first, the others as they came', async () => {
  const { began, ends, come } = start();
  for (const name of ['a', 'b', 'c', 'd']) come(name);
  come('canary', true);
  await settle();
  expect(began).toEqual(['a', 'b']);
  for (const name of ['b', 'a', 'canary', 'c']) {
    ends.get(name)?.();
    ends.get(name)?.();
    await settle();
  }
  expect(began).toEqual(['a', 'b', 'canary', 'c', 'd']);
});

it('gives the turn of one that hangs to the next', async () => {
  const { clock, began, come } = start();
  for (const name of ['a', 'b', 'c']) come(name);
  await settle();
  clock.advance(999);
  await settle();
  expect(began).toEqual(['a', 'b']);
  clock.advance(1);
  await settle();
  expect(began).toEqual(['a', 'b', 'c']);
});

it('tells who waited for too long when to come again', async () => {
  const clock = new FakeClock();
  const turns = new Turns({ ...options, clock, longestMs: 60_000 });
  const { signal } = new AbortController();
  await Promise.all([turns.take(signal), turns.take(signal)]);
  const late = turns.take(signal);
  const failure = expect(late).rejects.toMatchObject({ code: 'REPLICA_UNAVAILABLE', retryAfterMs: 5000 });
  clock.advance(8000);
  await failure;
  expect(turns.waiting).toBe(0);
});

it('tells one more at once where many wait already', async () => {
  const turns = new Turns({ ...options, clock: new FakeClock(), maxWaiting: 1 });
  const { signal } = new AbortController();
  await Promise.all([turns.take(signal), turns.take(signal)]);
  const leaves = new AbortController();
  const last = expect(turns.take(leaves.signal)).rejects.toThrow('it left');
  await expect(turns.take(signal)).rejects.toMatchObject({ code: 'REPLICA_UNAVAILABLE', retryAfterMs: 5000 });
  expect(turns.waiting).toBe(1);
  leaves.abort(new Error('it left'));
  await last;
});

it('has a place for urgent ones however many others wait, and one more is told where as many urgent ones wait', async () => {
  const { turns, began, failed, ends, come } = start();
  for (let other = 0; other < 2 + options.maxWaiting; other++) come(`${other}`);
  await settle();
  for (let canary = 0; canary < options.maxWaiting; canary++) come(`canary ${canary}`, true);
  await settle();
  expect([turns.waiting, failed.size]).toEqual([2 * options.maxWaiting, 0]);
  for (const isUrgent of [true, false]) come(`one more, ${isUrgent}`, isUrgent);
  await settle();
  expect([...failed.keys()]).toEqual(['one more, true', 'one more, false']);
  ends.get('0')?.();
  await settle();
  expect(began).toEqual(['0', '1', 'canary 0']);
});

it('forgets who went away', async () => {
  const { turns, began, failed, ends, leaves, come } = start();
  for (const name of ['a', 'b', 'c', 'd']) come(name);
  leaves.get('c')?.abort(new Error('it left'));
  await settle();
  expect([turns.waiting, failed.get('c')]).toEqual([1, new Error('it left')]);
  ends.get('a')?.();
  await settle();
  expect(began).toEqual(['a', 'b', 'd']);
});

it('whatever they do, never has more under way and never loses a turn', async () => {
  const act = fc.constantFrom('come', 'urgent', 'end', 'leave');
  await fc.assert(
    fc.asyncProperty(fc.array(act, { maxLength: 60 }), async (acts) => {
      const { turns, began, failed, ends, leaves, come } = start();
      let [count, over] = [0, 0];
      for (const what of acts) {
        if (what === 'come' || what === 'urgent') come(`${count++}`, what === 'urgent');
        else if (what === 'leave') [...leaves.values()].at(-1)?.abort(new Error('it left'));
        else if (over < began.length) ends.get(began[over++] ?? '')?.();
        await settle();
        const underWay = began.length - over;
        expect(underWay).toBeLessThanOrEqual(options.atOnce);
        expect(turns.waiting).toBe(count - began.length - failed.size);
        if (turns.waiting > 0) expect(underWay).toBe(options.atOnce);
      }
    }),
  );
});
