import type { Http2Session, ServerHttp2Stream } from 'node:http2';
import { expect, it } from 'vitest';
import { FakeClock } from '../../../time/fake-clock.ts';
import { Waste } from './waste.ts';

const mib = 1 << 20;
const start = () => {
  const clock = new FakeClock();
  let isEnded = false;
  const waste = new Waste(clock, () => (isEnded = true));
  const session = {} as Http2Session;
  /** False: its connection was ended for it. */
  const lostOn = (of: Http2Session, bytes: number): boolean => {
    isEnded = false;
    waste.lost(of, {} as ServerHttp2Stream, bytes);
    return !isEnded;
  };
  return {
    clock,
    waste,
    came: (bytes: number) => waste.came(session, bytes),
    lost: (bytes: number) => lostOn(session, bytes),
    other: (bytes: number) => lostOn({} as Http2Session, bytes),
  };
};

it('a connection may waste 8 MiB at once, and others are not counted for it', () => {
  const { lost, other } = start();
  expect([lost(4 * mib), lost(4 * mib), lost(1)]).toEqual([true, true, false]);
  expect(other(8 * mib)).toBe(true);
});

it('a second allows a MiB more, and none in advance', () => {
  const { clock, lost } = start();
  clock.advance(60_000);
  expect(lost(8 * mib)).toBe(true);
  clock.advance(2000);
  expect([lost(2 * mib), lost(1)]).toEqual([true, false]);
  clock.advance(60_000);
  expect([lost(8 * mib), lost(1)]).toEqual([true, false]);
});

it('messages that came whole make up for as much, and for 8 MiB that will be wasted at most', () => {
  const { clock, came, lost } = start();
  expect(lost(8 * mib)).toBe(true);
  came(3 * mib);
  expect(lost(3 * mib)).toBe(true);
  came(1000 * mib);
  clock.advance(1000);
  expect([lost(16 * mib), lost(1)]).toEqual([true, false]);
});

it('more than 8 MiB on their way on one connection take the room of others', () => {
  const { waste } = start();
  const [session, other] = [{}, {}] as [Http2Session, Http2Session];
  waste.coming(session, 8 * mib);
  expect(waste.takesRoom(session)).toBe(false);
  waste.coming(session, 1);
  expect([waste.takesRoom(session), waste.takesRoom(other)]).toEqual([true, false]);
  waste.coming(session, -1);
  expect(waste.takesRoom(session)).toBe(false);
});
