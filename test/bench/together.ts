import { fleets, type Scenario, togetherAlarms, togetherEffects } from './judge/scenarios.ts';
import { type Outcome, simulate } from './judge/simulate.ts';
import { trafficOf } from './judge/traffic.ts';
import { type Report, report, type Variant, variant } from './report.ts';
import { roundsOf } from './rounds.ts';

/** Rollouts of a scenario. */
const runs = 200;

/**
 * What it costs that no node decides alone: the same rollouts from seeds, judged by all counts together and as in a fleet, on
 * nodes with the same traffic and with traffic as 1, 1/2, 1/3 …
 */
export const together = async (): Promise<Report> => {
  const results: Record<string, Variant> = {};
  const ratios: Record<string, number> = {};
  const sources = new Map(fleets.map((profile) => [profile.name, trafficOf(profile)]));
  const outcomesOf = ({ key, profile, truth, limits, watched }: Scenario): readonly Outcome[] => {
    const source = sources.get(profile.name);
    if (source === undefined) throw new Error(`no traffic for ${profile.name}`);
    const started = performance.now();
    // No fixed rule is watched.
    const fixed = { errors: limits.errors, p99: Number.POSITIVE_INFINITY };
    const outcomes = Array.from({ length: roundsOf(runs) }, (_, i) =>
      simulate(profile, source(i, truth), fixed, watched),
    );
    console.error(`together: ${key} in ${Math.round(performance.now() - started)} ms`);
    return outcomes;
  };
  for (const scenario of [...togetherAlarms, ...togetherEffects]) {
    const outcomes = outcomesOf(scenario);
    for (const rule of scenario.watched) {
      const delays = outcomes.flatMap(({ [rule]: delay }) => (delay === undefined ? [] : [delay]));
      ratios[`aborted_${scenario.key}_${rule}`] = delays.length / outcomes.length;
      if (delays.length > 0 && scenario.key.startsWith('harm'))
        results[`${scenario.key}_${rule}`] = variant(delays);
    }
  }
  return report('together', 'answers of the canary until the abort', {
    results,
    ratios,
    setup: Object.fromEntries(fleets.map(({ name, ...profile }) => [name, JSON.stringify(profile)])),
  });
};
