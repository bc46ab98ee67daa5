import type { Follower } from './follower.ts';

/** Who is to be told of one publication, and whether something in it is urgent for them. */
export class Audience {
  readonly #followers: Iterable<Follower>;
  readonly #told = new Map<Follower, boolean>();
  readonly #asked: string[] = [];
  /** By namespace, whether it is urgent. */
  readonly #chosen = new Map<string, boolean>();
  /** Undefined: not all of them. */
  #all: boolean | undefined;

  constructor(followers: Iterable<Follower>) {
    this.#followers = followers;
  }

  all(isUrgent: boolean): void {
    this.#all = this.#all === true || isUrgent;
  }

  /** Those that the policy of a namespace chooses. */
  chosenBy(namespace: string, isUrgent: boolean): void {
    this.#chosen.set(namespace, this.#chosen.get(namespace) === true || isUrgent);
  }

  one(follower: Follower, isUrgent: boolean): void {
    this.#told.set(follower, this.#told.get(follower) === true || isUrgent);
  }

  /** Something changed that only those have that asked for this name. */
  askers(name: string): void {
    this.#asked.push(name);
  }

  /** Those as well that wait for whatever comes. Who has no place yet is told when it has. */
  told(): Map<Follower, boolean> {
    const told = new Map<Follower, boolean>();
    for (const follower of this.#followers) {
      if (!follower.isPlaced) continue;
      const { settled } = follower;
      const isWaiting = settled === undefined || settled.hearsAll;
      const own = this.#told.get(follower);
      const chosen = this.#chosenOf(follower);
      const isMeant = own !== undefined || chosen !== undefined || this.#all !== undefined;
      if (!isMeant && !isWaiting && !this.#asks(settled)) continue;
      told.set(follower, own === true || chosen === true || this.#all === true);
    }
    return told;
  }

  /** Undefined: no namespace means it. */
  #chosenOf({ chosenBy }: Follower): boolean | undefined {
    if (chosenBy.size === 0 || this.#chosen.size === 0) return undefined;
    const [few, isIn] =
      chosenBy.size < this.#chosen.size
        ? [chosenBy, (one: string) => this.#chosen.has(one)]
        : [this.#chosen.keys(), (one: string) => chosenBy.has(one)];
    const those = [...few].filter(isIn);
    return those.length === 0 ? undefined : those.some((one) => this.#chosen.get(one) === true);
  }

  #asks({ names }: NonNullable<Follower['settled']>): boolean {
    return names.size > 0 && this.#asked.some((name) => names.has(name));
  }
}
