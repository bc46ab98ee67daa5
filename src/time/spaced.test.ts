import { expect, it } from 'vitest';
import { FakeClock } from './fake-clock.ts';
import { spaced } from './spaced.ts';

it('runs at once, then once for all that asked within the gap, and not without being asked', () => {
  const clock = new FakeClock();
  const at: number[] = [];
  const began = clock.monotonic();
  const { ask, close } = spaced(() => at.push(clock.monotonic() - began), { clock, gapMs: 5000 });
  ask();
  clock.advance(1000);
  for (let i = 0; i < 3; i++) ask();
  expect(at).toEqual([0]);
  clock.advance(4000);
  expect(at).toEqual([0, 5000]);
  clock.advance(20_000);
  ask();
  ask();
  expect(at).toEqual([0, 5000, 25_000]);
  close();
  clock.advance(10_000);
  expect(at).toEqual([0, 5000, 25_000]);
});
