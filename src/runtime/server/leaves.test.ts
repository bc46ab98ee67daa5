import { expect, it } from 'vitest';
import { FakeClock } from '../../time/fake-clock.ts';
import { Leaves } from './leaves.ts';

const start = () => {
  const clock = new FakeClock();
  const leaves = new Leaves(clock);
  const freeOf = (address: string, times: number): number =>
    Array.from({ length: times }, () => leaves.isFree(address)).filter(Boolean).length;
  return { clock, leaves, freeOf };
};

it('forty leaves of an address at once are free, and one in each 50 ms behind them', () => {
  const { clock, freeOf } = start();
  expect(freeOf('a', 100)).toBe(40);
  clock.advance(49);
  expect(freeOf('a', 100)).toBe(0);
  clock.advance(1);
  expect(freeOf('a', 100)).toBe(1);
  clock.advance(500);
  expect(freeOf('a', 100)).toBe(10);
  clock.advance(60_000);
  expect(freeOf('a', 100)).toBe(40);
});

it('addresses count by themselves', () => {
  const { freeOf } = start();
  freeOf('a', 100);
  expect(freeOf('b', 100)).toBe(40);
});

it('who leaves 20 times a second may do so for ever', () => {
  const { clock, leaves } = start();
  for (let i = 0; i < 1000; i += 1) {
    expect(leaves.isFree('a')).toBe(true);
    clock.advance(50);
  }
});

it('of more addresses than are remembered the one that left longest ago is forgotten', () => {
  const { freeOf } = start();
  freeOf('first', 40);
  freeOf('second', 40);
  for (let i = 0; i < 4095; i += 1) freeOf(`${i}`, 1);
  expect(freeOf('second', 1)).toBe(0);
  expect(freeOf('first', 1)).toBe(1);
});
