import { expect, it } from 'vitest';
import { FakeClock } from '../../time/fake-clock.ts';
import { ConnectionSequence } from './sequence.ts';

const make = (reserved: number, clock: FakeClock, failing = false) => {
  const written: number[] = [];
  const errors: object[] = [];
  const sequence = new ConnectionSequence(reserved, {
    clock,
    reserve: async (upTo) => {
      if (failing) throw new Error('ENOSPC');
      written.push(upTo);
    },
    logger: { error: (keys: object) => void errors.push(keys) },
  });
  return { sequence, written, errors };
};

it('numbers grow, and one write to the disk covers many of them', async () => {
  const { sequence, written } = make(0, new FakeClock(1_000_000));
  const numbers = [];
  for (let i = 0; i < 50; i++) numbers.push(await sequence.next());
  expect(numbers).toEqual(Array.from({ length: 50 }, (_, i) => BigInt(1_000_000 + i)));
  expect(written).toHaveLength(1);
});

it('no number is used before it is reserved on the disk', async () => {
  const clock = new FakeClock(1_000_000);
  const { sequence, written } = make(0, clock);
  for (let i = 0; i < 5; i++) {
    const number = await sequence.next();
    expect(Number(number)).toBeLessThanOrEqual(written.at(-1) ?? 0);
    clock.advance(400_000);
  }
  expect(written.length).toBeGreaterThan(1);
});

it('after a restart every number is higher than all before, also on a board whose clock starts in 1970', async () => {
  const before = make(0, new FakeClock(1_700_000_000_000));
  const last = await before.sequence.next();
  const after = make(before.written.at(-1) ?? 0, new FakeClock(0));
  expect(await after.sequence.next()).toBeGreaterThan(last);
});

it('a runtime that lost its disk goes on above what it used', async () => {
  const last = await make(0, new FakeClock(1_700_000_000_000)).sequence.next();
  const { sequence } = make(0, new FakeClock(1_700_000_001_000));
  expect(await sequence.next()).toBeGreaterThan(last);
});

it('dials also when the disk is full, and says so', async () => {
  const { sequence, errors } = make(0, new FakeClock(5), true);
  expect(await sequence.next()).toBe(5n);
  expect(errors).toHaveLength(1);
});
