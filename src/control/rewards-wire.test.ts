import { describe, expect, it } from 'vitest';
import { Elsewhere as Wire, Rewarded as WireRewarded } from '../gen/adaptlet/control/v1/control.ts';
import { maxElsewhere, originOf } from '../rollout/judge/elsewhere.ts';
import { maxRewarded, RewardedNumbers } from '../rollout/judge/rewarded.ts';
import type { Elsewhere } from '../rollout/judge/told-rewards.ts';
import { elsewhereFromWire, elsewhereToWire, rewardedFromWire, rewardedToWire } from './rewards-wire.ts';

const told: Elsewhere = {
  origin: originOf('instance-1'),
  weight: 5,
  seq: 7,
  rewards: [
    { number: 0, bucket: 63, arm: 'canary', reward: -0.5 },
    { number: 2 ** 32 - 1, bucket: 0, arm: 'stable', reward: 1 },
  ],
};
const wire = Wire.decode(Wire.encode(elsewhereToWire(told)).finish());
const refused = expect.objectContaining({ code: 'HELLO_INVALID' });

describe('feedback on the wire', () => {
  it('about answers of others comes as it was told', () => {
    expect(elsewhereFromWire([wire]).unpacked()).toEqual([told]);
  });

  it('that is counted comes with the numbers of its answers', () => {
    const numbers = new RewardedNumbers();
    for (const number of [3, 70]) numbers.add(number);
    const sent = rewardedToWire(numbers.snapshot());
    if (sent === undefined) throw new Error('there is nothing');
    const read = rewardedFromWire(WireRewarded.decode(WireRewarded.encode(sent).finish()));
    expect(read.from).toBe(numbers.snapshot()?.from);
    expect([...read.bits]).toEqual([...(numbers.snapshot()?.bits ?? [])]);
    expect(rewardedToWire(undefined)).toBeUndefined();
  });

  it.each<[string, Partial<Wire>]>([
    ['no process', { origin: Buffer.alloc(0) }],
    ['a weight that there is not', { weight: 101 }],
    ['lists of different lengths', { rewards: [1] }],
    ['a bucket that there is not', { sides: [128, 0] }],
    ['a reward that is none', { rewards: [Number.NaN, 0] }],
    ['a reward that is too large', { rewards: [1e300, 0] }],
  ])('with %s is refused', (_, more) => {
    expect(() => elsewhereFromWire([{ ...wire, ...more }])).toThrow(refused);
  });

  it('about more answers than anyone keeps is refused', () => {
    const many = Array.from({ length: maxElsewhere + 1 }, () => 1);
    expect(() => elsewhereFromWire([{ ...wire, numbers: many, sides: many, rewards: many }])).toThrow(
      refused,
    );
    const bits = Buffer.alloc((maxRewarded >> 3) + 1);
    expect(() => rewardedFromWire({ knownFrom: 0, from: 0, bits })).toThrow(refused);
  });
});
