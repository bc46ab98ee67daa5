import { expect, it } from 'vitest';
import { FakeClock } from '../../../time/fake-clock.ts';
import { FairQueue, overdueMs } from '../schedule/fair-queue.ts';
import { AloneTurn } from './alone-turn.ts';
import type { Entry } from './schedulable.ts';
import { FakeSequence, startScheduler } from './scheduler.fixture.ts';

/** Turns, and a queue, where one of another namespace has rows that are guaranteed to it. */
const start = (tokens = 100) => {
  const clock = new FakeClock();
  const now = () => clock.monotonic();
  const queue = new FairQueue<Entry<FakeSequence>>({ maxLength: 9, now });
  const running: Entry<FakeSequence>[] = [];
  const { batch } = startScheduler({ tokens });
  const turn = new AloneTurn({ queue, running, batch, now });
  const entry = (id: number, flow: FakeSequence['flow']): Entry<FakeSequence> => {
    const sequence = new FakeSequence(id, { prompt: 50, flow });
    return { flow: sequence.flow, sequence, ended: () => undefined, tokens: 0 };
  };
  const wait = (id: number): Entry<FakeSequence> => {
    const one = entry(id, { namespace: 'b', tenant: `${id}`, adapter: null, priority: 0 });
    queue.push(one);
    return one;
  };
  const run = (guaranteed: number): void => {
    running.push(entry(99, { namespace: 'g', tenant: '', adapter: null, priority: 0, guaranteed }));
  };
  return { clock, queue, running, turn, wait, run };
};

it('begins for one that is overdue, and has no room beside rows to which something is guaranteed', () => {
  const { clock, turn, wait, run } = start();
  run(1);
  const one = wait(1);
  expect(turn.beginWaiting(one)).toBe(false);
  clock.advance(overdueMs + 1);
  expect(turn.beginWaiting(one)).toBe(true);
  expect(turn.beginWaiting(wait(2))).toBe(false);
  expect(turn.whose).toBe(one);
});

it.each([
  ['has room beside them', 200, 1],
  ['waits for what is guaranteed to nobody', 100, 0],
])('does not begin for one that %s', (_, tokens, guaranteed) => {
  const { clock, turn, wait, run } = start(tokens);
  run(guaranteed);
  const one = wait(1);
  clock.advance(overdueMs + 1);
  expect(turn.beginWaiting(one)).toBe(false);
  expect(turn.whose).toBeUndefined();
});

it('is over once it gave eight tokens, or its caller does not take them, or it left', () => {
  const ends: readonly ((one: Entry<FakeSequence>, node: ReturnType<typeof start>) => void)[] = [
    (one) => Object.assign(one, { tokens: 8 }),
    ({ sequence }) => Object.assign(sequence, { window: 0 }),
    (_, { running }) => running.splice(0),
  ];
  for (const end of ends) {
    const node = start();
    const one = node.wait(1);
    node.turn.beginRunning(one);
    node.queue.started(one);
    node.running.push(one);
    Object.assign(one.sequence, { placed: true, cached: 49 });
    Object.assign(one, { tokens: 7 });
    expect(node.turn.whose).toBe(one);
    end(one, node);
    expect(node.turn.whose).toBeUndefined();
  }
});

it('begins only once guarantees held for as long as whoever is overdue waits', () => {
  const { clock, queue, turn, wait } = start();
  const [one, other] = [wait(1), wait(2)];
  clock.advance(overdueMs + 1);
  turn.beginRunning(one);
  queue.remove(one);
  expect(turn.whose).toBeUndefined();
  clock.advance(overdueMs);
  turn.beginRunning(other);
  expect(turn.whose).toBeUndefined();
  clock.advance(1);
  turn.beginRunning(other);
  expect(turn.whose).toBe(other);
});
