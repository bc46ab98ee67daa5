import { effects, falseAlarms, good, profiles, type Scenario } from './judge/scenarios.ts';
import { both, type Outcome, type RuleName, simulate } from './judge/simulate.ts';
import { trafficOf } from './judge/traffic.ts';
import { quantile, type Report, report, type Variant, variant } from './report.ts';
import { roundsOf } from './rounds.ts';

/** Rollouts of a scenario; false alarms are rare and take more, except where one rollout is much work. */
const usual = 300;
const runsOf = ({ nodes, name }: Scenario['profile']): number => {
  if (name === 'even') return 5 * usual;
  return nodes === 1 ? 2 * usual : usual;
};

/** The p99 of the latency that is normal, in milliseconds: what somebody would base a fixed limit on. */
const normalP99 = (traffic: ReturnType<typeof trafficOf>): number =>
  quantile(
    Array.from({ length: 20 }, (_, i) => traffic(1_000_000 + i, both(good))).flatMap((request) =>
      Array.from({ length: 5_000 }, () => request().ms ?? 0),
    ),
    0.99,
  );

const sources = () =>
  new Map(
    profiles.map((profile) => {
      const traffic = trafficOf(profile);
      return [profile.name, { traffic, p99: normalP99(traffic) }];
    }),
  );

/** Runs a scenario; the same seeds in each of them: what differs between two is what is true, not luck. */
const runner = () => {
  const known = sources();
  return ({ key, profile, truth, limits, watched }: Scenario, runs: number): readonly Outcome[] => {
    const source = known.get(profile.name);
    if (source === undefined) throw new Error(`no traffic for ${profile.name}`);
    const started = performance.now();
    const fixed = { errors: limits.errors, p99: limits.slower * source.p99 };
    const outcomes = Array.from({ length: runs }, (_, i) =>
      simulate(profile, source.traffic(i, truth), fixed, watched),
    );
    console.error(`judge: ${key}, ${runs} rollouts in ${Math.round(performance.now() - started)} ms`);
    return outcomes;
  };
};

const share = (outcomes: readonly Outcome[], aborted: (outcome: Outcome) => boolean): number =>
  outcomes.filter(aborted).length / outcomes.length;

/** What is behind a key of the report for each rule; the judge that is meant to find the harm has nothing. */
const suffixOf = (rule: RuleName): string => (rule === 'errors' || rule === 'latency' ? '' : `_${rule}`);

/**
 * Many rollouts from seeds, looked at every 5 s by the code of src/rollout/judge and by fixed rules: how often is a canary
 * that is like stable aborted (A/A), how often is a bad one, and after how many answers of the canary?
 */
export const judgeBench = async (): Promise<Report> => {
  const results: Record<string, Variant> = {};
  const ratios: Record<string, number> = {};
  const run = runner();

  for (const scenario of falseAlarms) {
    const outcomes = run(scenario, roundsOf(runsOf(scenario.profile)));
    const shares: Record<string, number> = {
      false_abort_aa: share(outcomes, ({ errors, latency }) => (errors ?? latency) !== undefined),
    };
    for (const rule of scenario.watched)
      shares[`false_abort_aa_${rule}`] = share(outcomes, (outcome) => outcome[rule] !== undefined);
    for (const [key, value] of Object.entries(shares)) {
      ratios[key] = Math.max(ratios[key] ?? 0, value);
      ratios[`${key}_${scenario.key}`] = value;
    }
  }
  for (const scenario of effects) {
    const outcomes = run(scenario, roundsOf(usual));
    for (const rule of scenario.watched) {
      const key = `${scenario.key}${suffixOf(rule)}`;
      const delays = outcomes.flatMap(({ [rule]: delay }) => (delay === undefined ? [] : [delay]));
      ratios[`power_${key}`] = delays.length / outcomes.length;
      if (delays.length > 0) results[`detect_${key}`] = variant(delays);
    }
  }
  return report('judge', 'answers of the canary until the abort', {
    results,
    ratios,
    setup: Object.fromEntries(profiles.map(({ name, ...profile }) => [name, JSON.stringify(profile)])),
  });
};
