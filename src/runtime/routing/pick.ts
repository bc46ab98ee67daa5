import type { Target, WeightedTarget } from '../../api/route.ts';
import { hash64, hash64Hex } from '../../rollout/hash.ts';

/** Chooses one of the targets of a rule for a key; undefined when no target has a weight. */
export type Pick = (key: string) => Target | undefined;

/** What a target is called among those of its rule: `rollout:x`, `adapter:x` or `base`. */
export const targetName = ({ rollout, adapter }: Target): string => {
  if (rollout !== undefined) return `rollout:${rollout}`;
  return adapter === undefined ? 'base' : `adapter:${adapter}`;
};

/** Salt of a rule's split: another one than any rollout's, so that a route and a rollout behind it cut independently. */
const saltOf = (namespace: string, route: string, rule: string): string =>
  hash64Hex(`${namespace}/${route}\0${rule}`);

/**
 * Compiles the targets of a rule: weights are proportional, 0 is none, and a key stays with its target without any
 * state. Weighted rendezvous hashing (logarithmic method of Schindelhauer and Schomaker, SPAA 2005): when one weight
 * grows, keys move to that target only; when a target goes, only its own keys move.
 */
export const compilePick = (
  namespace: string,
  route: string,
  rule: string,
  targets: readonly WeightedTarget[],
): Pick => {
  const salt = saltOf(namespace, route, rule);
  const merged = new Map<
    string,
    { readonly target: Target; readonly weight: number; readonly seed: bigint }
  >();
  for (const { weight, ...target } of targets) {
    if (weight <= 0) continue;
    const name = targetName(target);
    const sum = weight + (merged.get(name)?.weight ?? 0);
    merged.set(name, { target, weight: sum, seed: hash64(name, BigInt(`0x${salt}`)) });
  }
  const [first, ...others] = merged.values();
  if (first === undefined) return () => undefined;
  if (others.length === 0) return () => first.target;
  return (key) => {
    let best = first;
    let least = distance(key, best);
    for (const other of others) {
      const next = distance(key, other);
      if (next < least) [best, least] = [other, next];
    }
    return best.target;
  };
};

/** Exponentially distributed with the weight as its rate: the least of several is each one's with its share of weight. */
const distance = (
  key: string,
  { weight, seed }: { readonly weight: number; readonly seed: bigint },
): number => {
  // 53 bits as a number in (0, 1): halfway between two steps, so that the logarithm is finite.
  const uniform = (Number(hash64(key, seed) >> 11n) + 0.5) / 2 ** 53;
  return -Math.log(uniform) / weight;
};
