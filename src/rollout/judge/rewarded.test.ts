import * as fc from 'fast-check';
import { expect, it } from 'vitest';
import { isRewarded, maxRewarded, RewardedNumbers, rewardedBelow } from './rewarded.ts';

it('has what was added and nothing else, as long as it is not forgotten', () => {
  const number = fc.oneof(fc.nat(100), fc.nat(maxRewarded * 3));
  fc.assert(
    fc.property(fc.array(number, { maxLength: 30 }), fc.array(number, { maxLength: 10 }), (added, others) => {
      const numbers = new RewardedNumbers();
      for (const one of added) numbers.add(one);
      for (const one of [...added, ...others]) {
        const isForgotten = one < numbers.knownFrom;
        expect(numbers.has(one)).toBe(isForgotten ? undefined : added.includes(one));
        const snapshot = numbers.snapshot();
        expect(snapshot === undefined ? false : isRewarded(snapshot, one)).toBe(numbers.has(one));
      }
      const known = [...new Set(added)].filter((one) => one >= numbers.knownFrom);
      for (const below of [...others, Infinity])
        expect(rewardedBelow(numbers, below)).toBe(known.filter((one) => one < below).length);
      expect(numbers.bits.length).toBeLessThanOrEqual(maxRewarded >> 3);
    }),
  );
});

it('forgets none of the last numbers, and remembers the highest', () => {
  const numbers = new RewardedNumbers();
  for (let number = 0; number < maxRewarded; number += 8) numbers.add(number);
  expect(numbers.has(0)).toBe(true);
  numbers.add(maxRewarded);
  expect(numbers.has(0)).toBeUndefined();
  expect(numbers.has(1)).toBeUndefined();
  expect(numbers.has(maxRewarded)).toBe(true);
  expect(numbers.has(maxRewarded - 8)).toBe(true);
});

it('a snapshot does not change', () => {
  const numbers = new RewardedNumbers();
  expect(numbers.snapshot()).toBeUndefined();
  numbers.add(9);
  const before = numbers.snapshot();
  numbers.add(10);
  expect(before && [isRewarded(before, 9), isRewarded(before, 10)]).toEqual([true, false]);
});
