import { z } from 'zod';
import { type ArmCounts, armCountsSchema, pooled } from './counts.ts';
import type { Rewarded } from './rewarded.ts';

/**
 * What one process of one node counted while the canary had one weight there. Cumulative: a later report of the same
 * process and weight replaces an earlier one, so that a report which is lost or repeated does no harm.
 */
export const splitReportSchema = z
  .strictObject({
    node: z.string().min(1).max(253),
    /** Of the process: another one counts from 0 again. */
    instance: z.string().min(1).max(128),
    /** Percent that the canary really has on this node. */
    weight: z.number().min(0).max(100),
    /** Grows with every change of the counts. */
    seq: z.int().min(0),
    stable: armCountsSchema,
    canary: armCountsSchema,
    /** Answers whose rewards are in these counts. Absent: none. */
    rewarded: z
      .strictObject({ knownFrom: z.int().min(0), from: z.int().min(0), bits: z.instanceof(Uint8Array) })
      .readonly()
      .exactOptional(),
  })
  .readonly();

export type SplitReport = {
  readonly node: string;
  readonly instance: string;
  readonly weight: number;
  readonly seq: number;
  readonly stable: ArmCounts;
  readonly canary: ArmCounts;
  readonly rewarded?: Rewarded;
};

/** A {@link SplitReport} as the process itself has it. */
export type WeightCounts = Omit<SplitReport, 'node' | 'instance'>;

/** The newest report of each (node, instance, weight), of one canary in one attempt. */
export type Reports = ReadonlyMap<string, SplitReport>;

const keyOf = ({ node, instance, weight }: SplitReport): string => JSON.stringify([node, instance, weight]);

export const reportsOf = (reports: Iterable<SplitReport>): Reports => {
  const newest = new Map<string, SplitReport>();
  for (const report of reports) {
    const key = keyOf(report);
    const known = newest.get(key);
    if (known === undefined || known.seq < report.seq) newest.set(key, report);
  }
  return newest;
};

/** Associative, commutative and idempotent, as long as one process never sends two contents under one `seq`. */
export const mergeReports = (a: Reports, b: Reports): Reports => {
  const newest = new Map(a);
  for (const [key, report] of b) {
    const known = newest.get(key);
    if (known === undefined || known.seq < report.seq) newest.set(key, report);
  }
  return newest;
};

/**
 * Where conditions were the same for both arms: one node at one weight. Arms are compared within a stratum only: a canary
 * that gets more requests of a slow node, or more of a bad hour, is not worse for it.
 */
export type Stratum = {
  readonly node: string;
  readonly weight: number;
  readonly stable: ArmCounts;
  readonly canary: ArmCounts;
};
export type Counters = readonly Stratum[];

/** `nodes`: those of a group; default: all. The order does not depend on the order of reports. */
export const countersOf = (reports: Reports, nodes?: ReadonlySet<string>): Counters => {
  const kept = [...reports.values()].filter(({ node }) => nodes?.has(node) ?? true);
  const strata = Map.groupBy(kept, ({ node, weight }) => JSON.stringify([node, weight]));
  return [...strata.keys()].sort().flatMap((key) => {
    const parts = strata.get(key) ?? [];
    const [first] = parts;
    if (first === undefined) return [];
    const inOrder = parts.toSorted((a, b) => (a.instance < b.instance ? -1 : 1));
    const { node, weight } = first;
    return [
      {
        node,
        weight,
        stable: pooled(inOrder.map(({ stable }) => stable)),
        canary: pooled(inOrder.map(({ canary }) => canary)),
      },
    ];
  });
};
