import { ArmCounter } from '../../../src/rollout/judge/counts.ts';
import { withFairShares } from '../../../src/rollout/judge/fair-shares.ts';
import { judge } from '../../../src/rollout/judge/judge.ts';
import type { JudgeSpec } from '../../../src/rollout/judge/spec.ts';
import { judgeTogether } from '../../../src/rollout/judge/together.ts';
import { quantile } from '../report.ts';
import type { Request } from './traffic.ts';

/** Something that watches a rollout and may abort it. */
export type Rule = {
  observe(request: Request): void;
  /** After each look; true: abort. */
  look(): boolean;
};

/** What a fixed rule is told: more than this is a failed check. */
export type Limit = { readonly errors: number } | { readonly p99: number };

/** Counters of every node, as the operator would hold them; shared by the judges of one run. */
export const countersOf = (nodes: number, weight: number) => {
  const strata = Array.from({ length: nodes }, (_, i) => ({
    node: `n${i}`,
    weight,
    stable: new ArmCounter(),
    canary: new ArmCounter(),
  }));
  const observe = ({ node, arm, bucket, ms }: Request): void => {
    const counter = strata[node]?.[arm];
    if (ms === undefined) counter?.failed(bucket);
    else {
      counter?.answered(bucket, ms);
      // The plain mean of the latency, to see what its logarithm is worth.
      counter?.rewarded(bucket, ms);
    }
  };
  return { strata, observe };
};
export type Counted = ReturnType<typeof countersOf>;

const nothing = (): void => undefined;

/** A judge of this project: aborts at the first Fail. */
export const judged = ({ strata }: Counted, spec: JudgeSpec): Rule => ({
  observe: nothing,
  look: () => judge(strata, spec).verdict === 'Fail',
});

/** The same as in a fleet in which no node decides alone. */
export const judgedTogether = ({ strata }: Counted, spec: JudgeSpec): Rule => ({
  observe: nothing,
  look: () => judgeTogether(withFairShares(strata), spec).verdict === 'Fail',
});

/** The sample-ratio check holds; here a hold counts as an abort. */
export const ratioJudged = ({ strata }: Counted, spec: JudgeSpec): Rule => ({
  observe: nothing,
  look: () => judge(strata, spec).verdict === 'Inconclusive',
});

/** Judged once, at the last look. */
export const judgedAtEnd = ({ strata }: Counted, spec: JudgeSpec, looks: number): Rule => {
  let look = 0;
  return {
    observe: nothing,
    look() {
      look += 1;
      return look === looks && judge(strata, spec, 'end').verdict === 'Fail';
    },
  };
};

/** What many build first: a one-sided z-test on the pooled error ratio at 5 %, at every look. */
export const repeatedZTest = (smallest = 100): Rule => {
  const n = { stable: 0, canary: 0 };
  const k = { stable: 0, canary: 0 };
  return {
    observe({ arm, ms }) {
      n[arm] += 1;
      k[arm] += ms === undefined ? 1 : 0;
    },
    look() {
      if (Math.min(n.stable, n.canary) < smallest) return false;
      const p = (k.stable + k.canary) / (n.stable + n.canary);
      const error = Math.sqrt(p * (1 - p) * (1 / n.stable + 1 / n.canary));
      return error > 0 && (k.canary / n.canary - k.stable / n.stable) / error > 1.6449;
    },
  };
};

/**
 * A fixed threshold on the canary's last minute, as both Argo Rollouts and Flagger check: the error ratio, or the p99 of
 * the latency. Aborts when more than `putUpWith` checks have failed so far.
 */
const fixedThreshold = (
  limit: Limit,
  { looksPerCheck, putUpWith, noDataFails }: FixedRule & { readonly looksPerCheck: number },
): Rule => {
  let errors = 0;
  let latencies: number[] = [];
  let looks = 0;
  let failed = 0;
  const isBad = (): boolean => {
    if ('p99' in limit) return latencies.length === 0 ? noDataFails : quantile(latencies, 0.99) > limit.p99;
    const requests = errors + latencies.length;
    return requests === 0 ? noDataFails : errors / requests > limit.errors;
  };
  return {
    observe({ arm, ms }) {
      if (arm !== 'canary') return;
      if (ms === undefined) errors += 1;
      else latencies.push(ms);
    },
    look() {
      looks += 1;
      if (looks % looksPerCheck !== 0) return false;
      failed += isBad() ? 1 : 0;
      errors = 0;
      latencies = [];
      return failed > putUpWith;
    },
  };
};

type FixedRule = { readonly putUpWith: number; readonly noDataFails: boolean };

/** failureLimit 3, as in the examples of its documentation; a measurement without data is an error, not a failure. */
const argo: FixedRule = { putUpWith: 3, noDataFails: false };
/** threshold 5, as in the examples of its documentation: the fifth failed check rolls back; no data fails a check. */
const flagger: FixedRule = { putUpWith: 4, noDataFails: true };

export const argoRule = (limit: Limit, looksPerCheck: number): Rule =>
  fixedThreshold(limit, { ...argo, looksPerCheck });
export const flaggerRule = (limit: Limit, looksPerCheck: number): Rule =>
  fixedThreshold(limit, { ...flagger, looksPerCheck });
