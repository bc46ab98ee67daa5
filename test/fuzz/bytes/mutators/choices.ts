import { seededRandom } from '../../../../src/runtime/engine/random.ts';

/** Random choices of a seed: the same seed makes the same ones. */
export class Choices {
  readonly #next: () => number;

  constructor(seed: number) {
    this.#next = seededRandom(seed);
  }

  /** A whole number from 0 to `limit` - 1. */
  below(limit: number): number {
    return Math.floor(this.#next() * limit);
  }

  chance(probability: number): boolean {
    return this.#next() < probability;
  }

  /** Small numbers are likelier than large ones; from 1 to `most`. */
  small(most: number): number {
    return 1 + Math.floor(this.#next() ** 3 * most);
  }

  pick<T>(from: readonly T[]): T {
    const picked = from[this.below(from.length)];
    if (picked === undefined) throw new RangeError('there is nothing to pick from');
    return picked;
  }
}

/** Makes other bytes of bytes. `other` gives another example of the same target. */
export type Mutator = (bytes: Uint8Array, choices: Choices, other: () => Uint8Array) => Uint8Array;

/** Numbers at which readers break: limits of types, of formats and of this project. */
export const boundaries: readonly bigint[] = [
  0n,
  1n,
  2n,
  7n,
  8n,
  127n,
  128n,
  255n,
  256n,
  511n,
  512n,
  513n,
  4095n,
  4096n,
  ...[15n, 16n, 24n, 31n, 32n, 33n, 47n, 52n, 53n, 62n, 63n, 64n].flatMap((bits) => [
    2n ** bits - 1n,
    2n ** bits,
    2n ** bits + 1n,
  ]),
];
