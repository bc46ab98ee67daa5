import { expect, it } from 'vitest';
import { flowOf } from '../schedule/fair-queue.ts';
import { RequestRoom } from './request-room.ts';

/** A room for three, and who was let go. */
const make = () => {
  const room = new RequestRoom({ maxConcurrent: 1, maxQueue: 2 });
  const dropped: string[] = [];
  const enter = (request: number, namespace: string, guaranteed = 0): Disposable =>
    room.enter(request, flowOf({ namespace, guaranteed }, null), ({ code }) =>
      dropped.push(`${request} ${code}`),
    );
  return { room, enter, dropped };
};

it('refuses one more with a time to come back, and has room once one left', () => {
  const { room, enter, dropped } = make();
  const first = enter(1, 'a');
  enter(2, 'a');
  enter(3, 'a');
  expect(() => enter(4, 'a')).toThrow(expect.objectContaining({ code: 'QUEUE_FULL', retryAfterMs: 1000 }));
  first[Symbol.dispose]();
  first[Symbol.dispose]();
  enter(5, 'a');
  room.leave(2);
  room.leave(2);
  enter(6, 'a');
  expect(dropped).toEqual([]);
});

it('lets go of the newest request of the namespace with most, not of the newcomer of another one', () => {
  const { enter, dropped } = make();
  for (const request of [1, 2, 3]) enter(request, 'greedy');
  enter(4, 'modest');
  expect(dropped).toEqual(['3 QUEUE_FULL']);
  expect(() => enter(5, 'greedy')).toThrow(/3 requests/);
  expect(dropped).toEqual(['3 QUEUE_FULL']);
});

it('counts what is guaranteed to a namespace for nothing', () => {
  const { enter, dropped } = make();
  for (const request of [1, 2]) enter(request, 'sure', 2);
  enter(3, 'other');
  enter(4, 'third', 1);
  expect(dropped).toEqual(['3 QUEUE_FULL']);
});
