import { setTimeout as sleep } from 'node:timers/promises';
import { operatorMetrics } from '../../../src/operator/metrics.ts';
import type { TestOperator } from '../../support/operator.ts';
import type { FleetSettings } from './sizes.ts';

/** What replicas counted since their start, all of them together. */
export type OperatorCounts = {
  /** Requests to the API server that change something. */
  readonly writes: number;
  readonly commits: number;
  readonly puts: number;
  /** Of the bodies of resources. */
  readonly sentBytes: number;
  readonly compilations: number;
  readonly compileSeconds: number;
};

const sumOf = (text: string, name: string, labels = /.*/): number =>
  text
    .split('\n')
    .flatMap((line) => {
      const [, found, labelled = '', value] = /^(\w+)(\{.*\})? (\S+)$/.exec(line) ?? [];
      return found === name && labels.test(labelled) ? [Number(value)] : [];
    })
    .reduce((sum, value) => sum + value, 0);

const countsIn = (text: string): OperatorCounts => ({
  writes: sumOf(text, operatorMetrics.requests.name, /method="(POST|PUT|PATCH|DELETE)"/),
  commits: sumOf(text, operatorMetrics.commits.name),
  puts: sumOf(text, operatorMetrics.puts.name),
  sentBytes: sumOf(text, operatorMetrics.bytes.name),
  compilations: sumOf(text, operatorMetrics.compilations.name),
  compileSeconds: sumOf(text, operatorMetrics.compileSeconds.name),
});

export const countsOf = async (operators: readonly TestOperator[]): Promise<OperatorCounts> =>
  countsIn((await Promise.all(operators.map((operator) => operator.metrics()))).join('\n'));

export const countsSince = (before: OperatorCounts, now: OperatorCounts): OperatorCounts => ({
  writes: now.writes - before.writes,
  commits: now.commits - before.commits,
  puts: now.puts - before.puts,
  sentBytes: now.sentBytes - before.sentBytes,
  compilations: now.compilations - before.compilations,
  compileSeconds: now.compileSeconds - before.compileSeconds,
});

/** Renewals of the lease that fit into so many milliseconds. */
const [quietMs, leaseWrites] = [10_000, 2] as const;

/** Whether nothing but the lease is written for a while, or no plan is sent: events are told some per second. */
export const isQuiet = async (
  operators: readonly TestOperator[],
  quiet: FleetSettings['quiet'],
): Promise<boolean> => {
  const before = await countsOf(operators);
  await sleep(quietMs);
  const { writes, commits } = countsSince(before, await countsOf(operators));
  return quiet === 'plans' ? commits === 0 : writes <= leaseWrites;
};
