/** Answers of one process at one weight, by their numbers, whose feedback is in its own counts. */
export type Rewarded = {
  /** Of answers with lower numbers that is not known any more. */
  readonly knownFrom: number;
  /** Number of the first bit, a multiple of 8. From `knownFrom` up to it there is none. */
  readonly from: number;
  /** Bit `number - from`, the lowest of each byte first. */
  readonly bits: Uint8Array;
};

/** Numbers that are remembered: the highest. */
export const maxRewarded = 65_536;
/** By how much the window moves at least: each move copies it. */
const step = 8_192;

/** Where a window begins that has this number and room for more. */
const windowFor = (number: number): number => Math.floor((number - maxRewarded) / 8) * 8 + step;

/** Undefined: it is not known any more. */
export const isRewarded = ({ knownFrom, from, bits }: Rewarded, number: number): boolean | undefined => {
  if (number < knownFrom) return undefined;
  const at = number - from;
  return at >= 0 && ((bits[at >> 3] ?? 0) & (1 << (at & 7))) !== 0;
};

/** How many of the numbers that are known are below. */
export const rewardedBelow = ({ from, bits }: Rewarded, number: number): number => {
  let count = 0;
  for (const [i, byte] of bits.entries()) {
    const first = from + 8 * i;
    if (first >= number) break;
    for (
      let left = number - first < 8 ? byte & ((1 << (number - first)) - 1) : byte;
      left !== 0;
      left &= left - 1
    )
      count += 1;
  }
  return count;
};

/** The same as it grows. Takes a bit for each number between the lowest and the highest, 8 KiB at most. */
export class RewardedNumbers implements Rewarded {
  #from = 0;
  #bits = new Uint8Array();
  /** Bytes up to the last that has a bit. */
  #used = 0;
  #isEmpty = true;

  get knownFrom(): number {
    return this.#from;
  }

  get from(): number {
    return this.#from;
  }

  get bits(): Uint8Array {
    return this.#bits.subarray(0, this.#used);
  }

  /** Undefined: that is not known any more. */
  has(number: number): boolean | undefined {
    return isRewarded(this, number);
  }

  /** A number that is forgotten stays so. */
  add(number: number): void {
    if (this.#isEmpty) {
      // Answers before the first one that got feedback may still get theirs.
      this.#from = Math.max(0, windowFor(number));
      this.#isEmpty = false;
    }
    if (number < this.#from) return;
    if (number >= this.#from + maxRewarded) this.#move(number);
    const at = (number - this.#from) >> 3;
    if (at >= this.#bits.length) this.#grow(at + 1);
    this.#bits[at] = (this.#bits[at] ?? 0) | (1 << ((number - this.#from) & 7));
    this.#used = Math.max(this.#used, at + 1);
  }

  /** Does not change, and has no bits before the lowest that there is. Undefined: there are none. */
  snapshot(): Rewarded | undefined {
    if (this.#isEmpty) return undefined;
    const { bits, knownFrom } = this;
    const first = Math.max(
      0,
      bits.findIndex((byte) => byte !== 0),
    );
    return { knownFrom, from: this.#from + 8 * first, bits: bits.slice(first) };
  }

  #move(number: number): void {
    const from = windowFor(number);
    const gone = (from - this.#from) >> 3;
    this.#bits = this.#bits.slice(gone);
    this.#used = Math.max(0, this.#used - gone);
    this.#from = from;
  }

  #grow(bytes: number): void {
    const grown = new Uint8Array(Math.min(maxRewarded >> 3, Math.max(64, bytes, 2 * this.#bits.length)));
    grown.set(this.#bits);
    this.#bits = grown;
  }
}
