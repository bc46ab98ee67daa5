import { fakeDigest } from '../../../src/api/names.fixture.ts';
import { bucketOf } from '../../../src/rollout/judge/counts.ts';
import { armOf, seedOf } from '../../../src/rollout/splitter.ts';
import { seededRandom } from '../../../src/runtime/engine/random.ts';

/** Who sends requests, and where to. */
export type Profile = {
  readonly name: string;
  /** Percent of users on the canary. */
  readonly weight: number;
  readonly nodes: number;
  /** The nodes have traffic as 1, 1/2, 1/3 ... Absent: all have the same. */
  readonly skewed?: boolean;
  /** Absent: every request has a key of its own. Else users whose activity is Pareto-distributed with this index. */
  readonly users?: { readonly count: number; readonly tail: number };
  readonly looks: number;
  readonly requestsPerLook: number;
};

/** What is true of each arm. */
export type Truth = { readonly errors: number; readonly slower: number };
export type Arm = 'stable' | 'canary';
export type Request = {
  readonly arm: Arm;
  readonly bucket: number;
  readonly node: number;
  /** Milliseconds; undefined: an error. */
  readonly ms: number | undefined;
};

const seed = seedOf('default', 'sql', fakeDigest('c'));
const keys = 20_000;

type User = {
  readonly arm: Arm;
  readonly bucket: number;
  readonly node: number;
  readonly errors: number;
  readonly slower: number;
};

/** Standard normal, Box and Muller. */
const normal = (random: () => number): number =>
  Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
/** Log-normal with mean 1. */
const spread = (random: () => number, sigma: number): number =>
  sigma === 0 ? 1 : Math.exp(sigma * normal(random) - sigma ** 2 / 2);

/** Median 200 ms, log-normal; one in a hundred takes ten times as long. */
const latency = (random: () => number): number =>
  200 * Math.exp(0.5 * normal(random)) * (random() < 0.01 ? 10 : 1);

/** Arms and buckets of many keys, by the real splitter. */
const placesOf = ({ weight }: Profile): readonly Pick<User, 'arm' | 'bucket'>[] =>
  Array.from({ length: keys }, (_, i) => {
    const key = `user-${i}`;
    return { arm: armOf(seed, key, weight), bucket: bucketOf(seed, key) };
  });

/** Draws users in proportion to their activity. */
const pickerOf = (activity: readonly number[], random: () => number): (() => number) => {
  const sums: number[] = [];
  let sum = 0;
  for (const a of activity) sums.push((sum += a));
  return () => {
    const at = random() * sum;
    let [low, high] = [0, sums.length - 1];
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((sums[middle] ?? 0) > at) high = middle;
      else low = middle + 1;
    }
    return low;
  };
};

/** A source of traces; each call with another `run` gives another one, always the same for the same. */
export const trafficOf = (profile: Profile) => {
  const places = placesOf(profile);
  return (run: number, truth: Readonly<Record<Arm, Truth>>): (() => Request) => {
    const random = seededRandom(run * 7919 + 1);
    const nodes = Array.from({ length: profile.nodes }, () => ({
      errors: profile.nodes > 1 ? spread(random, 0.5) : 1,
      slower: profile.nodes > 1 ? spread(random, 0.7) : 1,
    }));
    const pickNode =
      profile.skewed === true
        ? pickerOf(
            nodes.map((_, i) => 1 / (i + 1)),
            random,
          )
        : () => Math.floor(random() * profile.nodes);
    const place = () => places[Math.floor(random() * keys)];
    const userOf = (): User => {
      const at = pickNode();
      const sticky = profile.users === undefined ? 0 : 1;
      return {
        ...(place() ?? { arm: 'stable', bucket: 0 }),
        node: at,
        errors: (nodes[at]?.errors ?? 1) * spread(random, sticky),
        slower: (nodes[at]?.slower ?? 1) * spread(random, 0.5 * sticky),
      };
    };
    const next = ((): (() => User) => {
      if (profile.users === undefined) return userOf;
      const { count, tail } = profile.users;
      const users = Array.from({ length: count }, userOf);
      const pick = pickerOf(
        users.map(() => (1 - random()) ** (-1 / tail)),
        random,
      );
      return () => users[pick()] ?? userOf();
    })();
    return () => {
      const { arm, bucket, node, errors, slower } = next();
      const failed = random() < Math.min(0.95, truth[arm].errors * errors);
      return { arm, bucket, node, ms: failed ? undefined : latency(random) * slower * truth[arm].slower };
    };
  };
};
