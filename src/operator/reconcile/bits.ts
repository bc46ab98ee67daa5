/** A set of small whole numbers, a bit for each: sets of a thousand meet in 32 steps. */
export class Bits {
  #words: Uint32Array;
  #size = 0;

  constructor(words = new Uint32Array(0)) {
    this.#words = words;
    for (const word of words) this.#size += ones(word);
  }

  /** `numbers`: in their order. */
  static of(numbers: readonly number[]): Bits {
    const words = new Uint32Array(((numbers.at(-1) ?? -1) >> 5) + 1);
    for (const number of numbers) words[number >>> 5] = (words[number >>> 5] ?? 0) | (1 << (number & 31));
    return new Bits(words);
  }

  get size(): number {
    return this.#size;
  }

  has(number: number): boolean {
    return (((this.#words[number >>> 5] ?? 0) >>> (number & 31)) & 1) === 1;
  }

  add(number: number): void {
    const at = number >>> 5;
    if (at >= this.#words.length) {
      const words = new Uint32Array(at + 1);
      words.set(this.#words);
      this.#words = words;
    }
    const word = this.#words[at] ?? 0;
    this.#words[at] = word | (1 << (number & 31));
    if (this.#words[at] !== word) this.#size += 1;
  }

  delete(number: number): void {
    if (!this.has(number)) return;
    const at = number >>> 5;
    this.#words[at] = (this.#words[at] ?? 0) & ~(1 << (number & 31));
    this.#size -= 1;
  }

  /** Those that are in one of them. */
  or(other: Bits): Bits {
    const [long, short] = this.#words.length < other.#words.length ? [other, this] : [this, other];
    const words = long.#words.slice();
    for (const [at, word] of short.#words.entries()) words[at] = (words[at] ?? 0) | word;
    return new Bits(words);
  }

  /** Those that are in both. */
  and(other: Bits): Bits {
    const theirs = other.#words;
    return new Bits(this.#words.slice(0, theirs.length).map((word, at) => word & (theirs[at] ?? 0)));
  }

  /** Those that are not in the other. */
  without(other: Bits): Bits {
    const theirs = other.#words;
    return new Bits(this.#words.map((word, at) => word & ~(theirs[at] ?? 0)));
  }

  *[Symbol.iterator](): Iterator<number> {
    for (const [at, word] of this.#words.entries())
      for (let rest = word; rest !== 0; rest &= rest - 1) yield (at << 5) + (31 - Math.clz32(rest & -rest));
  }
}

/** Bits of a 32-bit word that are set. */
const ones = (word: number): number => {
  let count = word - ((word >>> 1) & 0x55555555);
  count = (count & 0x33333333) + ((count >>> 2) & 0x33333333);
  return (((count + (count >>> 4)) & 0x0f0f0f0f) * 0x01010101) >>> 24;
};
