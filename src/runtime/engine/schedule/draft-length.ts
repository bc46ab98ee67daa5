/** Steps whose time is remembered. */
const rememberedOnes = 8;
const rememberedSlopes = 16;
/** Steps of one token before anything is said. */
const neededOnes = 3;
/** What a further token costs, as a share of a step of one, before it was measured. */
const assumedSlope = 0.25;
/** Steps of one token after which a measurement is believed less: else one bad one could end all drafts. */
const forgetAfter = 32;
/** Tokens per time that a draft is expected to give more, at least: what is expected is uncertain. */
const minGain = 1.05;

const median = (values: readonly number[]): number =>
  values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;

const remember = (values: number[], value: number, count: number): void => {
  values.push(value);
  if (values.length > count) values.shift();
};

/** How long a step of several tokens takes, as a multiple of one of a single token: measured while it runs. */
export class StepCost {
  readonly #ones: number[] = [];
  /** What each further token took, as a share of a step of one token. */
  readonly #slopes: number[] = [];
  #onesSince = 0;

  /** A step of so many tokens took so long. */
  ran(tokens: number, ms: number): void {
    if (tokens === 1) {
      remember(this.#ones, ms, rememberedOnes);
      this.#onesSince += 1;
      if (this.#onesSince % forgetAfter === 0) this.#slopes.shift();
      return;
    }
    this.#onesSince = 0;
    if (!this.isKnown) return;
    const slope = (ms / median(this.#ones) - 1) / (tokens - 1);
    remember(this.#slopes, slope, rememberedSlopes);
  }

  /** False until a step of one token can be compared with. */
  get isKnown(): boolean {
    return this.#ones.length >= neededOnes;
  }

  /** Of a step of so many tokens. */
  of(tokens: number): number {
    const slope = this.#slopes.length === 0 ? assumedSlope : median(this.#slopes);
    return 1 + Math.max(0, slope) * (tokens - 1);
  }
}

/**
 * How many tokens of a draft to run: those that give most tokens per time. `odds`: how likely each is right where those
 * before it are. 0 where that is hardly more than without.
 */
export const draftLength = (odds: readonly number[], costOf: (tokens: number) => number): number => {
  let best = { length: 0, rate: minGain };
  let likely = 1;
  let tokens = 1;
  for (const [index, chance] of odds.entries()) {
    likely *= chance;
    tokens += likely;
    const length = index + 1;
    const rate = tokens / costOf(length + 1);
    if (rate > best.rate) best = { length, rate };
  }
  return best.length;
};
