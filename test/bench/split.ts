import type { Digest } from '../../src/api/names.ts';
import { armOf, seedOf } from '../../src/rollout/splitter.ts';
import { type Report, report, variant } from './report.ts';

const keys = Array.from({ length: 100_000 }, (_, i) => `user-${i}`);
const weights = [1, 5, 10, 20, 30, 50, 80, 99];

/** Largest deviation of the observed share from the weight over 100,000 users, users that move back, and time per pick. */
export const split = async (): Promise<Report> => {
  let deviation = 0;
  let movedBack = 0;
  const nanoseconds: number[] = [];
  for (let canary = 0; canary < 20; canary++) {
    const seed = seedOf('default', 'sql', `sha256:${String(canary).padStart(64, '0')}` as Digest);
    let before = new Set<string>();
    for (const weight of weights) {
      const started = performance.now();
      const onCanary = new Set(keys.filter((key) => armOf(seed, key, weight) === 'canary'));
      nanoseconds.push(((performance.now() - started) * 1e6) / keys.length);
      deviation = Math.max(deviation, Math.abs((onCanary.size / keys.length) * 100 - weight));
      movedBack += [...before].filter((key) => !onCanary.has(key)).length;
      before = onCanary;
    }
  }
  return report('split', 'ns per pick', {
    results: { pick: variant(nanoseconds) },
    ratios: { max_deviation_points: deviation, moved_back: movedBack },
    setup: { keys: keys.length, canaries: 20, weights: weights.join(' ') },
  });
};
