import { createEvictionPolicy, type EvictionPolicyName } from './eviction-policies.ts';
import type { EvictionPolicy, PolicyMemory } from './eviction-policy.ts';
import { halfLifeOnDisk } from './hit-density.ts';

/** What is known of the uses of artifacts, for the next process. */
export type RememberedUses = {
  /** Artifacts as namespaces have them, the least recently used first. */
  readonly names: readonly string[];
  /** Of each of them; absent where the policy of eviction remembers nothing else. */
  readonly policy?: PolicyMemory | undefined;
};

/** Names whose order is known; of more the least recently used is forgotten. As many as have histories. */
const maxKnown = 2 ** 16;
/** Of them those that are written down: about half a megabyte. */
export const maxRemembered = 2 ** 12;

/** How often and how recently artifacts were used: that outlives their stay on the disk, and the process. */
export class DiskUses {
  readonly policy: EvictionPolicy;
  /** Numbers of their last uses by name, in the order of those. */
  readonly #last = new Map<string, number>();
  #count = 0;

  constructor(policy: EvictionPolicyName, before?: RememberedUses) {
    const { names: keys = [], policy: memory } = before ?? {};
    const known = memory === undefined ? {} : { before: { keys, memory } };
    this.policy = createEvictionPolicy(policy, { halfLife: halfLifeOnDisk, ...known });
    for (const name of keys) this.touched(name);
  }

  /** Grows with each use. */
  get count(): number {
    return this.#count;
  }

  /** A request begins to use it. */
  used(name: string): void {
    this.touched(name);
    this.policy.used(name);
  }

  /** It is used now. */
  touched(name: string): void {
    this.#count += 1;
    this.#last.delete(name);
    this.#last.set(name, this.#count);
    if (this.#last.size <= maxKnown) return;
    const [oldest] = this.#last.keys();
    if (oldest !== undefined) this.#last.delete(oldest);
  }

  /** Higher is more recent; 0: it was never used. */
  lastUse(name: string): number {
    return this.#last.get(name) ?? 0;
  }

  /** Of those that were used last. */
  remembered(): RememberedUses {
    const names = [...this.#last.keys()].slice(-maxRemembered);
    const policy = this.policy.memoryOf(names);
    return policy === undefined ? { names } : { names, policy };
  }
}
