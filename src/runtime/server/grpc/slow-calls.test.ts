import { expect, it } from 'vitest';
import { FakeClock } from '../../../time/fake-clock.ts';
import { SlowCalls } from './slow-calls.ts';

const waiting = (bodyMs = 60_000) => {
  const clock = new FakeClock();
  const calls = new SlowCalls({ clock, bodyMs });
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
