import { defaultJudges, judgeSpecSchema } from '../../../src/rollout/judge/spec.ts';
import {
  argoRule,
  countersOf,
  flaggerRule,
  judged,
  judgedAtEnd,
  judgedTogether,
  type Rule,
  ratioJudged,
  repeatedZTest,
} from './rules.ts';
import type { Arm, Profile, Request, Truth } from './traffic.ts';

export type RuleName =
  | 'errors'
  | 'latency'
  | 'errors_together'
  | 'latency_together'
  | 'plain_mean'
  | 'mann_whitney'
  | 'sample_ratio'
  | 'z_test'
  | 'argo_rule'
  | 'argo_rule_p99'
  | 'flagger_rule'
  | 'flagger_rule_p99';

/** Requests that the canary had answered when a rule aborted; absent: it never did. */
export type Outcome = Readonly<Partial<Record<RuleName, number>>>;

/** What the fixed rules are told. */
export type Limits = { readonly errors: number; readonly p99: number };

/** Checks of the fixed rules happen once a minute, looks of the judges every 5 s. */
const looksPerCheck = 12;

const { errorRatio, latency, sampleRatio } = defaultJudges;
const plainMean = judgeSpecSchema.parse({ ...latency, measure: 'reward', direction: 'Increase' });
const mannWhitney = judgeSpecSchema.parse({ type: 'mannWhitney' });

/** One rollout from start to end, watched by several rules at once. */
export const simulate = (
  profile: Profile,
  request: () => Request,
  { errors, p99 }: Limits,
  watched: readonly RuleName[],
): Outcome => {
  const counted = countersOf(profile.nodes, profile.weight);
  const rules: Readonly<Record<RuleName, Rule>> = {
    errors: judged(counted, errorRatio),
    latency: judged(counted, latency),
    errors_together: judgedTogether(counted, errorRatio),
    latency_together: judgedTogether(counted, latency),
    plain_mean: judged(counted, plainMean),
    mann_whitney: judgedAtEnd(counted, mannWhitney, profile.looks),
    sample_ratio: ratioJudged(counted, sampleRatio),
    z_test: repeatedZTest(),
    argo_rule: argoRule({ errors }, looksPerCheck),
    argo_rule_p99: argoRule({ p99 }, looksPerCheck),
    flagger_rule: flaggerRule({ errors }, looksPerCheck),
    flagger_rule_p99: flaggerRule({ p99 }, looksPerCheck),
  };
  const waiting = new Map(watched.map((name) => [name, rules[name]]));
  const outcome: Partial<Record<RuleName, number>> = {};
  let seen = 0;
  for (let look = 0; look < profile.looks && waiting.size > 0; look += 1) {
    for (let i = 0; i < profile.requestsPerLook; i += 1) {
      const next = request();
      seen += next.arm === 'canary' ? 1 : 0;
      counted.observe(next);
      for (const rule of waiting.values()) rule.observe(next);
    }
    for (const [name, rule] of waiting) {
      if (!rule.look()) continue;
      outcome[name] = seen;
      waiting.delete(name);
    }
  }
  return outcome;
};

export const both = (truth: Truth): Readonly<Record<Arm, Truth>> => ({ stable: truth, canary: truth });
