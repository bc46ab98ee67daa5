import { expect, it } from 'vitest';
import { FakeClock } from '../../../time/fake-clock.ts';
import { SlowCalls } from './slow-calls.ts';

const waiting = (bodyBytes = 128 << 20) => {
  const clock = new FakeClock();
  const calls = new SlowCalls({ clock, bodyMs: 60_000, bodyBytes });
  const ended: string[] = [];
  const begin = (name: string) => calls.begin(({ code }) => void ended.push(`${name} ${code}`));
  return { clock, ended, begin };
};

it('a call ends whose message does not come in time, and one whose message came goes on', () => {
  const { clock, ended, begin } = waiting();
  begin('slow');
  const { came } = begin('quick');
  clock.advance(500);
  came();
  clock.advance(59_499);
  expect(ended).toEqual([]);
  clock.advance(1);
  expect(ended).toEqual(['slow DEADLINE_EXCEEDED']);
  clock.advance(120_000);
  expect(ended).toHaveLength(1);
});

it('of calls whose messages are late the one with most gives way, and a crowd whose messages come at once loses none', () => {
  const { clock, ended, begin } = waiting();
  const crowd = Array.from({ length: 2000 }, (_, i) => begin(`c${i}`));
  clock.advance(900);
  for (const { came } of crowd) came();
  for (let i = 0; i < 1025; i += 1) begin(`s${i}`).took(i === 7 ? 2 : 1);
  clock.advance(999);
  expect(ended).toEqual([]);
  clock.advance(1);
  expect(ended).toEqual(['s7 QUEUE_FULL']);
});

it('a client that sends little at a time is not late for those that send much', () => {
  const { clock, ended, begin } = waiting();
  for (let i = 0; i < 64; i += 1) begin(`little${i}`).took(8000);
  clock.advance(2000);
  const large = Array.from({ length: 40 }, (_, i) => begin(`large${i}`));
  for (const { took } of large) took(2 << 20);
  clock.advance(1000);
  expect(ended).toEqual([]);
  for (const { took } of large) took(2 << 20);
  expect(ended).toHaveLength(9);
  expect(ended.every((one) => /^large\d+ QUEUE_FULL$/.test(one))).toBe(true);
});

it('of messages that are more than there may be together the largest of those that are late gives way', () => {
  const { clock, ended, begin } = waiting(1 << 20);
  begin('late').took(200 << 10);
  begin('little').took(1000);
  clock.advance(1000);
  const large = begin('large');
  large.took(800 << 10);
  expect(ended).toEqual([]);
  large.took(100 << 10);
  expect(ended).toEqual(['late QUEUE_FULL']);
});

it('where none that is late has much it is the largest of all, also before it is late', () => {
  const { clock, ended, begin } = waiting(1 << 20);
  begin('little').took(1000);
  clock.advance(1000);
  for (let i = 0; i < 4; i += 1) begin(`medium${i}`).took(200 << 10);
  const large = begin('large');
  large.took(300 << 10);
  expect(ended).toEqual(['large QUEUE_FULL']);
});

it('a message that came leaves its room to others', () => {
  const { ended, begin } = waiting(1 << 20);
  for (let i = 0; i < 8; i += 1) {
    const call = begin(`c${i}`);
    call.took(900 << 10);
    call.came();
  }
  expect(ended).toEqual([]);
});
