import { policies } from './cache/policies.ts';
import { simulate } from './cache/simulate.ts';
import { compareTiers } from './cache/tiered.ts';
import { traces } from './cache/trace.ts';
import { type Report, report, variant } from './report.ts';
import { roundsOf } from './rounds.ts';

const adapters = 1_000;
const room = 64;
const length = 50_000;
const warmUp = 10_000;
/** Of RAM over flash. The first day warms up. */
const tiered = { users: 10_000, inRam: 32, onFlash: 500, length: 30_000 };
const tieredWarmUp = 10_000;

/**
 * Policies of eviction on seeded traces, simulated: the runtime's own code and that of others, for RAM alone and for RAM over
 * flash. Ratios: the hit ratio, the mean over seeds; results: milliseconds of loading for an average request, over seeds.
 * `ADAPTLET_BENCH_PARTS=ram` or `tiers`: one of both.
 */
export const cache = async (): Promise<Report> => {
  const parts = (process.env['ADAPTLET_BENCH_PARTS'] ?? 'ram,tiers').split(',');
  const seedsOf = (needed: number) => Array.from({ length: roundsOf(needed) }, (_, i) => i + 1);
  const seeds = seedsOf(5);
  const ratios: Record<string, number> = {};
  const results: Record<string, ReturnType<typeof variant>> = {};
  for (const [name, make] of parts.includes('ram') ? Object.entries(traces) : []) {
    const made = seeds.map((seed) => make({ adapters, room, length }, seed));
    for (const [policy, maker] of Object.entries(policies)) {
      const outcomes = made.map((trace) => simulate(trace, maker, warmUp));
      ratios[`${name}_${policy}`] = outcomes.reduce((sum, { hitRatio }) => sum + hitRatio, 0) / seeds.length;
      results[`miss_${name}_${policy}`] = variant(outcomes.map(({ missMs }) => missMs));
    }
    console.error(`cache: ${name} done`);
  }
  const tieredSeeds = seedsOf(3);
  if (parts.includes('tiers')) {
    const compared = await compareTiers(tiered, tieredSeeds, tieredWarmUp);
    Object.assign(ratios, compared.ratios);
    for (const [name, ms] of Object.entries(compared.ms)) results[`load_${name}`] = variant(ms);
  }
  const setup = {
    adapters,
    room_for: room,
    requests: length,
    not_counted: warmUp,
    seeds: seeds.length,
    tiered_users: tiered.users,
    tiered_room_for: tiered.inRam,
    tiered_room_on_flash: tiered.onFlash,
    tiered_requests: tiered.length,
    tiered_not_counted: tieredWarmUp,
    tiered_seeds: tieredSeeds.length,
  };
  return report('cache', 'ms of loading per request', { results, ratios, setup });
};
