import type { EvictionPolicy, PolicyMemory } from './eviction-policy.ts';

type History = {
  /** Uses as of the last one, earlier ones faded. */
  readonly count: number;
  /** Expected share of all uses, as of the last one. */
  readonly rate: number;
  readonly last: number;
  readonly lastFade: number;
  /** Class of the count. */
  readonly frequency: number;
  /** Up to when its absence is in the table. */
  counted: number;
};

export type HitDensityOptions = {
  /** Uses of any adapter after which a use counts half, by how many adapters have room. */
  readonly halfLife?: (adapters: number) => number;
  /** Adapters whose history is kept; of more the least recently used is forgotten. */
  readonly maxKept?: number;
  /** What an earlier one knew of these. Default: nothing. */
  readonly before?: { readonly keys: readonly string[]; readonly memory: PolicyMemory } | undefined;
};

/** Long enough to tell the adapters that just have room from those that just have none, and no longer. */
const usesPerAdapter = 16;
/** On the disk, where room is for more and what is popular changes within days. */
const usesPerArtifact = 64;
const halfLifeFor =
  (usesEach: number) =>
  (adapters: number): number =>
    Math.min(2 ** 17, Math.max(256, usesEach * adapters));
const halfLifeInRam = halfLifeFor(usesPerAdapter);
export const halfLifeOnDisk = halfLifeFor(usesPerArtifact);
/** Uses of any adapter after which what the table has learned counts half. */
const learningHalfLife = 2 ** 14;

/** Uses of any adapter since the own last one: 1, 2 to 3, 4 to 7, … */
const ageClasses = 20;
/** Two for each doubling of the count. */
const frequencyClasses = 24;
/** Uses that are taken to have come as foretold before any was seen. */
const prior = 4;
/** Histories whose absence is counted at each use. One is put back to the end at each use, so one is too few. */
const sweep = 2;

const lastBegins = 2 ** (ageClasses - 1);
/** `clz32` takes the lower 32 bits alone: what is older than the last class begins is of that one. */
const ageClass = (age: number): number => Math.max(0, 31 - Math.clz32(Math.min(age, lastBegins)));
const frequencyClass = (count: number): number =>
  Math.min(frequencyClasses - 1, Math.max(0, Math.floor(2 * Math.log2(count))));
const cell = (frequency: number, age: number): number => frequency * ageClasses + ageClass(age);

const tableOf = (values: readonly number[]): Float64Array =>
  Float64Array.from({ length: frequencyClasses * ageClasses }, (_, at) => values[at] ?? 0);

/** For a class of counts and one of ages: uses that came, over uses that the rates foretold. */
class Corrections {
  readonly #came: Float64Array;
  readonly #foretold: Float64Array;

  constructor({ came, foretold }: Pick<PolicyMemory, 'came' | 'foretold'> = { came: [], foretold: [] }) {
    this.#came = tableOf(came);
    this.#foretold = tableOf(foretold);
  }

  get values(): Pick<PolicyMemory, 'came' | 'foretold'> {
    return { came: [...this.#came], foretold: [...this.#foretold] };
  }

  came(frequency: number, age: number): void {
    const at = cell(frequency, age);
    this.#came[at] = (this.#came[at] ?? 0) + 1;
  }

  /** Nobody used it at the ages above `from` and up to `until`, or only at the last of them. */
  waited({ frequency, rate }: History, from: number, until: number): void {
    let age = from;
    while (age < until) {
      const next = age + 1;
      const last = ageClass(next) === ageClasses - 1 ? until : 2 ** (ageClass(next) + 1) - 1;
      const end = Math.min(until, last);
      const at = cell(frequency, next);
      this.#foretold[at] = (this.#foretold[at] ?? 0) + rate * (end - age);
      age = end;
    }
  }

  /**
   * From this age up to that one at which the most came of what was foretold. What is used at regular times is never used right after
   * a use, and is worth its place all the same.
   */
  of(frequency: number, age: number): number {
    let [came, foretold, most] = [prior, prior, 0];
    const end = (frequency + 1) * ageClasses;
    for (let at = cell(frequency, age); at < end; at += 1) {
      came += this.#came[at] ?? 0;
      foretold += this.#foretold[at] ?? 0;
      most = Math.max(most, came / foretold);
    }
    return most;
  }

  halve(): void {
    for (const values of [this.#came, this.#foretold]) {
      for (const [at, value] of values.entries()) values[at] = value / 2;
    }
  }
}

/**
 * Keeps what saves the most milliseconds of reloading per byte and use: rate x reload / bytes. The rate is counted, with
 * counts that fade, and corrected by what was learned of adapters that are as often used and were not used for as long:
 * uses that came over uses that were foretold. Where requests are independent of each other the correction stays near 1,
 * and the most often used stay. In sessions it is high right after a use, and the last used stay. When popularity moves
 * it is low for those that were popular, and they leave long before their counts have faded.
 *
 * To rank by expected hits per byte, learned by age, is of Beckmann, Chen and Cidon, "LHD: improving cache hit rate by
 * maximizing hit density" (NSDI 2018); that histories outlive eviction, of TinyLFU; milliseconds over bytes, of GDSF.
 * Time is counted in uses: the same requests have the same victims, and a quiet night ages nothing.
 */
export const hitDensity = ({
  halfLife = halfLifeInRam,
  maxKept = 2 ** 16,
  before: earlier,
}: HitDensityOptions = {}): EvictionPolicy & { readonly kept: number } => {
  const histories = new Map<string, History>();
  const corrections = new Corrections(earlier?.memory);
  let cursor = histories.values();
  /** `fade`: half-lives since the start; they need not all be equally long. */
  let { now, fade, fadePerUse } = earlier?.memory ?? { now: 0, fade: 0, fadePerUse: 1 / halfLife(0) };
  for (const [at, key] of (earlier?.keys ?? []).entries()) {
    const known = earlier?.memory.histories[at];
    if (known === null || known === undefined) continue;
    const [count, rate, last, lastFade, counted] = known;
    histories.set(key, { count, rate, frequency: frequencyClass(count), last, lastFade, counted });
  }

  const countAbsence = (history: History): void => {
    corrections.waited(history, history.counted - history.last, now - history.last);
    history.counted = now;
  };

  const sweepSome = (): void => {
    for (let i = 0; i < sweep; i += 1) {
      let next = cursor.next();
      if (next.done === true) {
        cursor = histories.values();
        next = cursor.next();
      }
      if (next.value !== undefined) countAbsence(next.value);
    }
  };

  const faded = ({ lastFade }: History): number => 2 ** (lastFade - fade);

  return {
    get kept() {
      return histories.size;
    },
    divided(adapters) {
      fadePerUse = 1 / halfLife(adapters);
    },
    used(key) {
      now += 1;
      fade += fadePerUse;
      if (now % learningHalfLife === 0) corrections.halve();
      sweepSome();
      const before = histories.get(key);
      if (before !== undefined) {
        countAbsence(before);
        corrections.came(before.frequency, now - before.last);
      }
      const count = 1 + (before === undefined ? 0 : before.count * faded(before));
      const rate = count * Math.LN2 * fadePerUse;
      const frequency = frequencyClass(count);
      histories.delete(key);
      histories.set(key, { count, rate, frequency, last: now, lastFade: fade, counted: now });
      if (histories.size <= maxKept) return;
      const [oldest] = histories.keys();
      if (oldest !== undefined) histories.delete(oldest);
    },
    worth({ key, bytes, reloadMs }) {
      const history = histories.get(key);
      if (history === undefined) return 0;
      const correction = corrections.of(history.frequency, now + 1 - history.last);
      return (history.rate * faded(history) * correction * reloadMs) / bytes;
    },
    memoryOf: (keys) => ({
      now,
      fade,
      fadePerUse,
      ...corrections.values,
      histories: keys.map((key) => {
        const known = histories.get(key);
        return known === undefined
          ? null
          : [known.count, known.rate, known.last, known.lastFade, known.counted];
      }),
    }),
  };
};
