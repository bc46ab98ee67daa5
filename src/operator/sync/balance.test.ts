import { expect, it } from 'vitest';
import { FakeClock } from '../../time/fake-clock.ts';
import { type RuntimeKey } from '../fleet/fleet.ts';
import { runtimeKey } from '../testing/fake-fleet.ts';
import { Balance, limitOf, type Movable } from './balance.ts';

/** The same in each run. */
const randomOf = (seed: number) => (): number => {
  seed = (seed * 1_103_515_245 + 12_345) % 2 ** 31;
  return seed / 2 ** 31;
};

/** Replicas with streams; one that ends is dialled anew half a second later, at any of them unless `to` says where. */
const start = (sizes: readonly number[], to?: number) => {
  const clock = new FakeClock();
  const random = randomOf(7);
  let [number, reconnects] = [0, 0];
  const isBusy = new Set<RuntimeKey>();
  const replicas = sizes.map((size) => {
    const streams = new Set<Movable>();
    const open = (key: RuntimeKey): void => {
      const stream = {
        key,
        move: () => {
          if (isBusy.has(key)) return false;
          streams.delete(stream);
          reconnects += 1;
          const next = to ?? Math.floor(random() * sizes.length);
          clock.after(500, () => replicas[next]?.open(key));
          return true;
        },
      };
      streams.add(stream);
    };
    for (let i = 0; i < size; i++) open(runtimeKey(`n${number++}`));
    const share = () => Math.ceil(number / sizes.length);
    const balance = new Balance({ clock, random, streams: () => streams, share });
    return { open, streams, balance };
  });
  return {
    clock,
    isBusy,
    sizes: () => replicas.map(({ streams }) => streams.size),
    reconnects: () => reconnects,
    share: Math.ceil(number / sizes.length),
  };
};

it('spreads 1,000 streams of one replica over three within five minutes, and each is ended once at most', () => {
  const { clock, sizes, reconnects, share } = start([1000, 0, 0]);
  clock.advance(60_000);
  expect(sizes()).toEqual([1000, 0, 0]);
  let before = reconnects();
  for (let second = 0; second < 300; second++) {
    clock.advance(1000);
    expect(reconnects() - before).toBeLessThanOrEqual(5);
    before = reconnects();
  }
  expect(Math.max(...sizes())).toBeLessThanOrEqual(limitOf(share));
  expect(sizes().reduce((a, b) => a + b)).toBe(1000);
  expect(reconnects()).toBeLessThanOrEqual(1000);
  // Nothing is moved any more.
  clock.advance(24 * 3_600_000);
  expect(reconnects()).toBe(before);
});

it.each([[[3, 0, 0]], [[12, 0, 0]], [[400, 300, 300]], [[40, 30, 30]]])('leaves %j alone', (sizes) => {
  const { clock, reconnects } = start(sizes);
  clock.advance(3_600_000);
  expect(reconnects()).toBe(0);
});

it('does not send runtimes away again and again where all of them come back', () => {
  const { clock, sizes, reconnects } = start([100, 0, 0], 0);
  clock.advance(3_600_000);
  expect(sizes()).toEqual([100, 0, 0]);
  expect(reconnects()).toBe(100);
});

it('leaves a stream that is busy for another moment, and gives away others', () => {
  const { clock, isBusy, sizes, share } = start([100, 0, 0]);
  for (let i = 0; i < 20; i++) isBusy.add(runtimeKey(`n${i}`));
  clock.advance(300_000);
  expect(Math.max(...sizes())).toBeLessThanOrEqual(limitOf(share));
});
