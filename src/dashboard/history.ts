import { isDeepStrictEqual } from 'node:util';
import type { RolloutView, Sample } from './views.ts';

/** Samples of one rollout. */
const maxSamples = 240;
/** Rollouts that are remembered; the one that changed longest ago gives way. */
const maxRollouts = 300;

const sampleOf = ({
  canary,
  stable,
  weight,
  observed,
  metrics,
}: RolloutView): Omit<Sample, 'number' | 'at'> => ({
  adapter: canary === '' ? stable : canary,
  weight,
  ...(observed === undefined ? {} : { observed }),
  metrics: metrics.map(({ message: _message, phase: _phase, ...numbers }) => numbers),
});

/**
 * Weights and metrics of rollouts over time, in memory.
 *
 * Guarantees: bounded; one that is full keeps every second sample of its older half, so it still begins where it began.
 */
export class RolloutHistory {
  readonly #samples = new Map<string, Sample[]>();
  #number = 0;

  /** Takes in how a rollout is now, if its numbers are other than before. */
  saw(rollout: RolloutView, at: number): void {
    const known = this.#samples.get(rollout.key) ?? [];
    const next = sampleOf(rollout);
    const last = known.at(-1);
    if (last !== undefined) {
      const { number: _, at: __, ...numbers } = last;
      if (isDeepStrictEqual(numbers, next)) return;
    }
    known.push({ number: ++this.#number, at, ...next });
    const kept =
      known.length <= maxSamples ? known : known.filter((_, i) => i % 2 === 0 || i >= known.length / 2);
    this.#samples.delete(rollout.key);
    this.#samples.set(rollout.key, kept);
    const [oldest] = this.#samples.keys();
    if (this.#samples.size > maxRollouts && oldest !== undefined) this.#samples.delete(oldest);
  }

  /** The rollout is gone. */
  forget(key: string): void {
    this.#samples.delete(key);
  }

  /** The oldest first. */
  of(key: string): readonly Sample[] {
    return this.#samples.get(key) ?? [];
  }
}
