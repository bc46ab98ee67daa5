import { expOfMinus } from './exp.ts';
import { allWeights, type Scale } from './weights.ts';

/** Of the bits of a float32 number: whole numbers in the order of the numbers. 0 and -0 are one. */
const keyOf = (bits: number): number => {
  const key = bits ^ ((bits >> 31) & 0x7fff_ffff);
  return key === -1 ? 0 : key;
};

/** Below and above every key: those of finite numbers. */
const [lowest, highest] = [-(2 ** 31), 2 ** 31 - 1];

/** Keys are told apart by their upper and then by their lower half. */
const halves = 2 ** 16;
const upper = (key: number): number => (key >> 16) + halves / 2;
const lower = (key: number): number => key & (halves - 1);

/** Where a sum that grows from the highest place down passes `target`, and what it is before; else the last place that counts. */
const passes = (masses: Float64Array, before: number, target: number, atTarget: boolean) => {
  let [place, sum, ahead] = [-1, before, before];
  for (let at = masses.length - 1; at >= 0; at -= 1) {
    const mass = masses[at] ?? 0;
    if (mass === 0) continue;
    place = at;
    ahead = sum;
    sum += mass;
    if (sum > target || (atTarget && sum === target)) break;
  }
  return { place, ahead };
};

/** Keys that are looked at to know whether most are nearly alike. */
const asked = 15;

/** Tokens of a block: the largest logits of blocks say what the likeliest tokens have at least. */
const blockSize = 64;

/**
 * Tokens that can still be drawn: the beginning of an order that is never written down. The largest logit is first, of
 * equals the lower id. Everything costs a few passes over the tokens, whatever their logits are. Loops are by index: an
 * iterator over a vocabulary costs a tenth of a step.
 *
 * One is enough for all requests: it keeps nothing from token to token but its memory.
 */
export class Candidates {
  /** Those that were taken, by id; and every id. */
  #ids = new Int32Array(0);
  #someIds = new Int32Array(0);
  #allIds = new Int32Array(0);
  #givenIds = new Int32Array(0);
  #keys = new Int32Array(0);
  #weights = new Float64Array(0);
  #count = 0;
  /** What comes after this one in the order is left out: its place, and its key. */
  #last = 0;
  #lastKey = lowest;
  /** How many were left when they were taken. */
  #left = 0;
  /** Of those that are left. */
  #mass = 0;
  readonly #uppers = new Float64Array(halves);
  readonly #lowers = new Float64Array(halves);
  #maxima = new Float32Array(0);
  /** Places of those whose upper halves are `#nearHalf`; `#lowers` is about them. */
  #near = new Int32Array(0);
  #nearHalf = 0;
  #nearCount = 0;

  /** Room for the weight of each of so many tokens. What is there now is lost. */
  weights(count: number): Float64Array {
    this.#reserve(count);
    return this.#weights.subarray(0, count);
  }

  /** Room for as many ids; nothing else is written there. */
  ids(count: number): Int32Array {
    this.#reserve(count);
    return this.#givenIds;
  }

  /** Takes the tokens whose logits are at least `floor`, the first `most` of them. */
  take(logits: Float32Array, floor = -Infinity, most = Infinity): void {
    this.#reserve(logits.length);
    this.#lastKey = lowest;
    const keys = this.#keys;
    const bits = new Int32Array(logits.buffer, logits.byteOffset, logits.length);
    if (floor === -Infinity) {
      for (let id = 0; id < bits.length; id += 1) keys[id] = keyOf(bits[id] ?? 0);
      this.#ids = this.#allIds;
      this.#left = this.#count = bits.length;
      return;
    }
    const ids = this.#someIds;
    let count = 0;
    for (let id = 0; id < logits.length && count < most; id += 1) {
      if ((logits[id] ?? 0) < floor) continue;
      ids[count] = id;
      keys[count] = keyOf(bits[id] ?? 0);
      count += 1;
    }
    this.#ids = ids;
    this.#left = this.#count = count;
  }

  /** Takes the tokens that weigh no less than `least`. Gives what each weighs, in the order of the ids, and all of them together. */
  takeHeavy(
    logits: Float32Array,
    { top, temperature }: Scale,
    least: number,
  ): { readonly weights: Float64Array; readonly total: number } {
    this.#reserve(logits.length);
    const [ids, weights] = [this.#someIds, this.#weights];
    const steepness = 1 / temperature;
    // A little further than `least` says: it is the weight that decides.
    const end = 1e-6 - Math.log(least);
    let [count, total] = [0, 0];
    for (let id = 0; id < logits.length; id += 1) {
      const distance = (top - (logits[id] ?? 0)) * steepness;
      if (distance > end) continue;
      const weight = expOfMinus(distance);
      if (weight < least) continue;
      ids[count] = id;
      weights[count] = weight;
      count += 1;
      total += weight;
    }
    this.#ids = ids;
    this.#lastKey = lowest;
    this.#left = this.#count = count;
    return { weights: weights.subarray(0, count), total };
  }

  /** Which token was taken at this place. */
  idAt(place: number): number {
    return this.#ids[place] ?? 0;
  }

  /** Takes the `count` likeliest. */
  takeLikeliest(logits: Float32Array, count: number): void {
    const { floor, isLargest } = this.#floorOf(logits, count);
    // Of equals the first are likeliest.
    this.take(logits, floor, isLargest ? count : Infinity);
    if (count >= this.#count) return;
    this.#countAll();
    this.#keepUntil(this.#placeOf(count, true).place);
    this.#left = count;
  }

  /** Gives each of those that are left its weight, and the others none. `logits`: those that were taken from. */
  weigh(logits: Float32Array, scale: Scale): void {
    if (this.#left * 2 < this.#count) this.#forgetOthers();
    const mass =
      this.#ids === this.#allIds
        ? allWeights(logits, scale, this.#weights.subarray(0, this.#count))
        : this.#someWeights(logits, scale);
    this.#mass = this.#lastKey === lowest ? mass : this.#weighOthersNothing();
    this.#sumUp();
  }

  #someWeights(logits: Float32Array, { top, temperature }: Scale): number {
    const [ids, weights, count] = [this.#ids, this.#weights, this.#count];
    const steepness = 1 / temperature;
    let mass = 0;
    for (let at = 0; at < count; at += 1) {
      const weight = expOfMinus((top - (logits[ids[at] ?? 0] ?? 0)) * steepness);
      weights[at] = weight;
      mass += weight;
    }
    return mass;
  }

  /** What those weigh that are left. */
  #weighOthersNothing(): number {
    const [keys, weights] = [this.#keys, this.#weights];
    const [count, last, lastKey] = [this.#count, this.#last, this.#lastKey];
    let mass = 0;
    for (let at = 0; at < count; at += 1) {
      const key = keys[at] ?? 0;
      if (key > lastKey || (key === lastKey && at <= last)) mass += weights[at] ?? 0;
      else weights[at] = 0;
    }
    return mass;
  }

  /** Sums up the weights by the upper halves of their keys. */
  #sumUp(): void {
    const half = this.#commonHalf();
    if (half !== undefined) return this.#sumUpAround(half);
    const [keys, weights, uppers, count] = [this.#keys, this.#weights, this.#uppers, this.#count];
    uppers.fill(0);
    for (let at = 0; at < count; at += 1) {
      const place = upper(keys[at] ?? 0);
      uppers[place] = (uppers[place] ?? 0) + (weights[at] ?? 0);
    }
    [this.#nearHalf, this.#nearCount] = [-1, 0];
  }

  /** The upper half that many keys have, where some of them are asked; of nearly equal logits it is that of all. */
  #commonHalf(): number | undefined {
    const half = upper(this.#keys[this.#count >> 1] ?? 0);
    let alike = 0;
    for (let part = 0; part < asked; part += 1)
      if (upper(this.#keys[Math.floor((part * this.#count) / asked)] ?? 0) === half) alike += 1;
    return alike * 2 > asked ? half : undefined;
  }

  /** The same, and by the lower halves of those with this upper one. */
  #sumUpAround(nearHalf: number): void {
    const [keys, weights, near] = [this.#keys, this.#weights, this.#near];
    const [uppers, lowers, count] = [this.#uppers, this.#lowers, this.#count];
    uppers.fill(0);
    lowers.fill(0);
    let [nearCount, lastHalf, sum] = [0, 0, 0];
    for (let at = 0; at < count; at += 1) {
      const key = keys[at] ?? 0;
      const half = upper(key);
      const weight = weights[at] ?? 0;
      // Of nearly equal logits one half follows the other: what was just written is not read again.
      if (half !== lastHalf) {
        uppers[lastHalf] = sum;
        sum = uppers[half] ?? 0;
        lastHalf = half;
      }
      sum += weight;
      if (half !== nearHalf) continue;
      near[nearCount] = at;
      nearCount += 1;
      lowers[lower(key)] = (lowers[lower(key)] ?? 0) + weight;
    }
    uppers[lastHalf] = sum;
    this.#nearHalf = nearHalf;
    this.#nearCount = nearCount;
  }

  /** Keeps the shortest beginning that holds this share of what all weigh together. */
  keepShare(share: number): void {
    const { place, mass } = this.#placeOf(share * this.#mass, true);
    this.#keepUntil(place);
    this.#mass = mass;
  }

  /** Keeps those that weigh no less than this. */
  keepHeavy(least: number): void {
    const [keys, weights, count] = [this.#keys, this.#weights, this.#count];
    let [last, lastKey, mass] = [0, highest, 0];
    for (let at = 0; at < count; at += 1) {
      const weight = weights[at] ?? 0;
      if (weight < least) continue;
      mass += weight;
      const key = keys[at] ?? 0;
      if (key > lastKey) continue;
      last = at;
      lastKey = key;
    }
    if (!this.#isLeft(last)) return;
    this.#keepUntil(last);
    this.#mass = mass;
  }

  /** The token at which the weights, added up in order, are more than `share` of what is left. */
  draw(share: number): number {
    const { place } = this.#placeOf(share * this.#mass, false);
    // Rounding can go one too far.
    return this.#ids[this.#isLeft(place) ? place : this.#last] ?? 0;
  }

  /** Those that are left, by id. */
  *[Symbol.iterator](): Generator<{ readonly id: number; readonly weight: number }> {
    let left = this.#left;
    for (let at = 0; at < this.#count && left > 0; at += 1) {
      if (!this.#isLeft(at)) continue;
      left -= 1;
      yield { id: this.#ids[at] ?? 0, weight: this.#weights[at] ?? 0 };
    }
  }

  #reserve(count: number): void {
    if (this.#keys.length >= count) return;
    this.#someIds = new Int32Array(count);
    this.#allIds = Int32Array.from({ length: count }, (_, id) => id);
    this.#givenIds = new Int32Array(count);
    this.#keys = new Int32Array(count);
    this.#weights = new Float64Array(count);
    this.#near = new Int32Array(count);
    this.#maxima = new Float32Array(Math.ceil(count / blockSize));
  }

  /**
   * `count` logits at least are as large: so many blocks have one. -Infinity where that is not worth the search. `isLargest`: none
   * is larger.
   */
  #floorOf(logits: Float32Array, count: number): { readonly floor: number; readonly isLargest: boolean } {
    const blocks = Math.floor(logits.length / blockSize);
    if (count * 2 > blocks) return { floor: -Infinity, isLargest: false };
    this.#reserve(logits.length);
    const maxima = this.#maxima.subarray(0, blocks);
    let largest = -Infinity;
    for (let block = 0; block < blocks; block += 1) {
      let max = -Infinity;
      for (let id = block * blockSize; id < (block + 1) * blockSize; id += 1) {
        const logit = logits[id] ?? 0;
        if (logit > max) max = logit;
      }
      maxima[block] = max;
      if (max > largest) largest = max;
    }
    for (let id = blocks * blockSize; id < logits.length; id += 1)
      largest = Math.max(largest, logits[id] ?? 0);
    this.take(maxima);
    this.#countAll();
    const floor = maxima[this.#placeOf(count, true).place] ?? -Infinity;
    return { floor, isLargest: floor === largest };
  }

  /** Each weighs 1. */
  #countAll(): void {
    this.#weights.fill(1, 0, this.#count);
    this.#sumUp();
  }

  /** Those that are left come first. */
  #forgetOthers(): void {
    const [from, ids, keys] = [this.#ids, this.#someIds, this.#keys];
    let count = 0;
    for (let at = 0; at < this.#count; at += 1) {
      if (!this.#isLeft(at)) continue;
      ids[count] = from[at] ?? 0;
      keys[count] = keys[at] ?? 0;
      count += 1;
    }
    this.#ids = ids;
    this.#count = count;
    this.#lastKey = lowest;
  }

  #keepUntil(last: number): void {
    this.#last = last;
    this.#lastKey = this.#keys[last] ?? 0;
  }

  #isLeft(at: number): boolean {
    const key = this.#keys[at] ?? 0;
    return key > this.#lastKey || (key === this.#lastKey && at <= this.#last);
  }

  /**
   * Place of the token at which the weights, added up in order, pass `target`, and what they are then: by the upper halves of the keys, by the
   * lower ones within that, and among equals by id.
   */
  #placeOf(target: number, atTarget: boolean): { readonly place: number; readonly mass: number } {
    const [keys, weights, lowers, near] = [this.#keys, this.#weights, this.#lowers, this.#near];
    const first = passes(this.#uppers, 0, target, atTarget);
    this.#lookNear(first.place);
    const nearCount = this.#nearCount;
    const second = passes(lowers, first.ahead, target, atTarget);
    const wanted = ((first.place - halves / 2) << 16) | second.place;
    let [mass, place] = [second.ahead, 0];
    for (let nearAt = 0; nearAt < nearCount; nearAt += 1) {
      const at = near[nearAt] ?? 0;
      const weight = weights[at] ?? 0;
      if (keys[at] !== wanted || weight === 0) continue;
      place = at;
      mass += weight;
      if (mass > target || (atTarget && mass === target)) break;
    }
    return { place, mass };
  }

  /** Finds those whose keys have this upper half. */
  #lookNear(half: number): void {
    if (half === this.#nearHalf) return;
    const [keys, weights, lowers, near] = [this.#keys, this.#weights, this.#lowers, this.#near];
    const count = this.#count;
    lowers.fill(0);
    let nearCount = 0;
    for (let at = 0; at < count; at += 1) {
      const key = keys[at] ?? 0;
      if (upper(key) !== half) continue;
      near[nearCount] = at;
      nearCount += 1;
      lowers[lower(key)] = (lowers[lower(key)] ?? 0) + (weights[at] ?? 0);
    }
    this.#nearHalf = half;
    this.#nearCount = nearCount;
  }
}
