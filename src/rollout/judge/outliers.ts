import { studentised, twoSidedBoundary } from './boundary.ts';
import type { Difference } from './difference.ts';
import { nodesOf } from './fair-shares.ts';
import { fromUnit, type Measure } from './measure.ts';
import type { Counters } from './reports.ts';
import { compare, tightestAt } from './sequential.ts';
import { minEffectiveBuckets, text } from './verdict.ts';

export type Outlier = { readonly node: string; readonly message: string };

/** Chance that any of many nodes that are alike is ever taken for an outlier. */
const alpha = 0.01;
/** Observations of each arm that a node has to have before it is compared, and how many such nodes there have to be. */
const minObservations = 30;
const minWitnesses = 5;
/** Least sample of the default judges: where their bound is closest. */
const sampleSize = 100;

/** By how much honest nodes may differ from each other at least; units as in {@link Measure}. */
const material: Readonly<Record<Measure, number>> = { errorRatio: 0.01, latency: Math.log(1.1), reward: 0 };
const measures = ['errorRatio', 'latency', 'reward'] as const satisfies readonly Measure[];

type Witness = {
  readonly node: string;
  readonly found: Difference;
  /** Precision of its difference, and squared standard error at its own value. */
  readonly weight: number;
  readonly variance: number;
};

/**
 * Nodes whose difference between canary and stable contradicts that of the others by more than chance explains, and by more
 * than is worth a word; the most extreme first. Each is compared with the mean of the others by a confidence sequence, so
 * looking often costs nothing; who was found is no other for the next.
 *
 * Assumes: counters with fair shares. A node with the requests of few callers is never found: they explain anything.
 * @param most no more are looked for
 */
export const outliersOf = (counters: Counters, most: number): readonly Outlier[] => {
  const nodes = nodesOf(counters);
  const found = new Map<string, Outlier>();
  for (const measure of measures) {
    let witnesses = nodes.flatMap((strata) => witnessOf(strata[0]?.node ?? '', compare(strata, measure)));
    const chance = alpha / measures.length / witnesses.length;
    while (witnesses.length >= minWitnesses && found.size < most) {
      const extreme = mostExtreme(witnesses, measure, chance);
      if (extreme === undefined) break;
      const { node, here, elsewhere } = extreme;
      const shown = [here, elsewhere].map((value) => text(fromUnit(measure, value)));
      const message = `${measure} of the canary differs by ${shown[0]} from stable there, by ${shown[1]} elsewhere`;
      if (!found.has(node)) found.set(node, { node, message });
      witnesses = witnesses.filter((witness) => witness.node !== node);
    }
  }
  return [...found.values()];
};

const witnessOf = (node: string, found: Difference | undefined): readonly Witness[] => {
  if (found === undefined || found.effectiveBuckets < minEffectiveBuckets) return [];
  if (Math.min(found.observations.stable, found.observations.canary) < minObservations) return [];
  return [{ node, found, weight: found.size / 2, variance: found.variance(found.value) }];
};

type Extreme = { readonly node: string; readonly here: number; readonly elsewhere: number };

/** The node that is farthest outside, as a multiple of what chance explains; undefined: none is outside. */
const mostExtreme = (
  witnesses: readonly Witness[],
  measure: Measure,
  chance: number,
): Extreme | undefined => {
  const sum = (of: (witness: Witness) => number): number => witnesses.reduce((all, one) => all + of(one), 0);
  const weights = sum(({ weight }) => weight);
  const values = sum(({ weight, found }) => weight * found.value);
  const variances = sum(({ weight, variance }) => weight ** 2 * variance);
  let extreme: Extreme | undefined;
  let farthest = 1;
  for (const { node, found, weight, variance } of witnesses) {
    const others = weights - weight;
    const elsewhere = (values - weight * found.value) / others;
    const ofOthers = Math.max(0, variances - weight ** 2 * variance) / others ** 2;
    const explained = studentised(
      twoSidedBoundary({ alpha: chance, size: found.size, tightestAt: tightestAt(sampleSize) }),
      found.clusterFreedom,
    );
    const beyond = Math.abs(found.value - elsewhere) - material[measure];
    const outside = beyond / (explained * Math.sqrt(found.variance(elsewhere) + ofOthers));
    if (outside <= farthest) continue;
    farthest = outside;
    extreme = { node, here: found.value, elsewhere };
  }
  return extreme;
};
