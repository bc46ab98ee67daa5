import { AdaptletError } from '../errors/adaptlet-error.ts';
import type {
  Elsewhere as WireElsewhere,
  Rewarded as WireRewarded,
} from '../gen/adaptlet/control/v1/control.ts';
import { buckets } from '../rollout/judge/counts.ts';
import { maxElsewhere } from '../rollout/judge/elsewhere.ts';
import { maxRewarded, type Rewarded } from '../rollout/judge/rewarded.ts';
import { type Elsewhere, ToldRewards } from '../rollout/judge/told-rewards.ts';

/** Of a reward, as servers take them, with room: sums over any fleet, and their squares, stay finite. */
const largestReward = 1e9;
const originBytes = 8;

export const rewardedToWire = (rewarded: Rewarded | undefined): WireRewarded | undefined =>
  rewarded === undefined ? undefined : { ...rewarded, bits: Buffer.from(rewarded.bits) };

/** @throws HELLO_INVALID */
export const rewardedFromWire = ({ knownFrom, from, bits }: WireRewarded): Rewarded => {
  if (bits.length > maxRewarded >> 3)
    throw invalid(`counts have ${bits.length} bytes about feedback, at most ${maxRewarded >> 3}`);
  // A copy: the message that it is a part of is not kept.
  return { knownFrom, from, bits: Uint8Array.from(bits) };
};

export const elsewhereToWire = ({ origin, weight, seq, rewards }: Elsewhere): WireElsewhere => ({
  origin: Buffer.from(origin, 'hex'),
  weight,
  seq: BigInt(seq),
  numbers: rewards.map(({ number }) => number),
  sides: rewards.map(({ bucket, arm }) => 2 * bucket + (arm === 'canary' ? 1 : 0)),
  rewards: rewards.map(({ reward }) => reward),
});

/**
 * What one runtime was told of a rollout.
 * @throws HELLO_INVALID for what no runtime sends
 */
export const elsewhereFromWire = (all: readonly WireElsewhere[]): ToldRewards => {
  const size = all.reduce((sum, { numbers }) => sum + numbers.length, 0);
  if (size > maxElsewhere || all.length > maxElsewhere)
    throw invalid(`a rollout has feedback about ${size} answers of others, at most ${maxElsewhere}`);
  return ToldRewards.of(all.map(placeFrom));
};

const placeFrom = ({ origin, weight, seq, numbers, sides, rewards }: WireElsewhere): Elsewhere => {
  if (origin.length !== originBytes) throw invalid(`feedback names a process by ${origin.length} bytes`);
  if (weight < 1 || weight > 100) throw invalid(`feedback is about the weight ${weight}`);
  if (numbers.length !== sides.length || numbers.length !== rewards.length)
    throw invalid('feedback about answers of others has lists of different lengths');
  return {
    origin: Buffer.from(origin).toString('hex'),
    weight,
    seq: Math.min(Number(seq), Number.MAX_SAFE_INTEGER),
    rewards: numbers.map((number, i) => {
      const [side = 0, reward = Number.NaN] = [sides[i], rewards[i]];
      if (side >= 2 * buckets) throw invalid(`feedback is about the side ${side}`);
      // NaN is not below anything.
      if (!(Math.abs(reward) <= largestReward)) throw invalid(`feedback has the reward ${reward}`);
      return { number, bucket: side >> 1, arm: (side & 1) === 0 ? 'stable' : 'canary', reward };
    }),
  };
};

const invalid = (what: string): AdaptletError => new AdaptletError('HELLO_INVALID', what);
