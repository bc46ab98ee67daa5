import { policies } from './cache/policies.ts';
import { simulate } from './cache/simulate.ts';
import { traces } from './cache/trace.ts';
import { type Report, report, variant } from './report.ts';
import { roundsOf } from './rounds.ts';

const adapters = 1_000;
const room = 64;
const length = 50_000;
const warmUp = 10_000;

/**
 * Policies of eviction on seeded traces, simulated: the runtime's own code and that of others. Ratios: the hit ratio,
 * the mean over seeds; results: milliseconds of reloading for an average request, over seeds.
 */
export const cache = (): Promise<Report> => {
  const seeds = Array.from({ length: roundsOf(5) }, (_, i) => i + 1);
  const ratios: Record<string, number> = {};
  const results: Record<string, ReturnType<typeof variant>> = {};
  for (const [name, make] of Object.entries(traces)) {
    const made = seeds.map((seed) => make({ adapters, room, length }, seed));
    for (const [policy, maker] of Object.entries(policies)) {
      const outcomes = made.map((trace) => simulate(trace, maker, warmUp));
      ratios[`${name}_${policy}`] = outcomes.reduce((sum, { hitRatio }) => sum + hitRatio, 0) / seeds.length;
      results[`miss_${name}_${policy}`] = variant(outcomes.map(({ missMs }) => missMs));
    }
    console.error(`cache: ${name} done`);
  }
  const setup = { adapters, room_for: room, requests: length, not_counted: warmUp, seeds: seeds.length };
  return Promise.resolve(report('cache', 'ms of reloading per request', { results, ratios, setup }));
};
