import type { EvictionPolicy } from './eviction-policy.ts';
import { type HitDensityOptions, hitDensity } from './hit-density.ts';

/** The policies that a runtime may be set to. */
export const evictionPolicyNames = ['hit-density', 'lru'] as const;
export type EvictionPolicyName = (typeof evictionPolicyNames)[number];

/** The least recently used leaves first. */
const lru = (): EvictionPolicy => ({
  used: () => undefined,
  divided: () => undefined,
  worth: () => 0,
  memoryOf: () => undefined,
});

export const createEvictionPolicy = (
  name: EvictionPolicyName,
  options: HitDensityOptions = {},
): EvictionPolicy => (name === 'lru' ? lru() : hitDensity(options));
