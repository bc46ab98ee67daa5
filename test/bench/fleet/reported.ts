import { availableParallelism } from 'node:os';
import { type Report, report, type Variant } from '../report.ts';
import { exponentOf, lineThrough } from './fit.ts';
import type { Measured } from './measure.ts';
import type { FleetSettings, Size } from './sizes.ts';

/** What was measured of one size. */
export type Point = { readonly size: Size; readonly measured: Pick<Measured, 'results' | 'cpu' | 'late'> };

/** What grows with the number of runtimes, by how its ratios are called. */
const curves = {
  cpu: 'leader_cpu_ms_per_round',
  rss: 'operator_rss_mib',
  effective: 'apply_to_effective',
  abort: 'abort_to_effective',
  reconnect: 'reconnect_all_s',
  writes: 'api_writes_per_s',
  flap_writes: 'flap_api_writes',
  flap_cpu: 'flap_leader_cpu_ms',
  commits: 'commits_per_change',
  bytes: 'body_bytes_per_change',
  messages: 'messages_from_runtimes_per_change',
  compilations: 'compilations_per_change',
} as const;

/** For each curve the exponent, and what one has without runtimes and with each of them. */
const ratiosOf = (points: readonly Point[]): Record<string, number> => {
  const ratios: Record<string, number> = {};
  for (const [name, key] of Object.entries(curves)) {
    const values = points.flatMap(({ size, measured }) => {
      const median = measured.results[key]?.median;
      return median === undefined || median <= 0 ? [] : [[size.runtimes, median] as const];
    });
    if (values.length < 2) continue;
    const line = lineThrough(values);
    ratios[`${name}_exponent`] = exponentOf(values);
    ratios[`${name}_base`] = line.base;
    ratios[`${name}_per_runtime`] = line.slope;
  }
  return ratios;
};

/** Where less of the cores is idle, times say how fast this machine is, not how fast the operator. */
const spare = 0.1;

const limitOf = ({ cpu }: Point['measured']): string => {
  const cores = availableParallelism();
  const { all = 0, machine = 0 } = cpu;
  if (machine <= cores * (1 - spare)) return `none: ${machine.toFixed(2)} of ${cores} cores were busy`;
  return `the ${cores} cores, all of them busy, ${all.toFixed(2)} by this bench: times are upper bounds, compare counts of work`;
};

const setupOf = ({ size, measured }: Point, suffix: string): Record<string, string | number> => {
  return {
    ...Object.fromEntries(
      Object.entries(measured.cpu).map(([name, share]) => [`cpu_${name}${suffix}`, Number(share.toFixed(3))]),
    ),
    [`limit${suffix}`]: limitOf(measured),
    ...(measured.late > 0 ? { [`changes_late${suffix}`]: measured.late } : {}),
    [`runtimes${suffix}`]: size.runtimes,
  };
};

/**
 * The report of a bench of a fleet. Several sizes give a curve, and results and setup of each with `_rN`; the names without are of the
 * last one. `failed`: why sizes were not measured, by `failed_rN`.
 * @throws when no size was measured
 */
export const fleetReport = (
  points: readonly Point[],
  settings: Pick<FleetSettings, 'rounds' | 'everySeconds' | 'idleSeconds' | 'quiet' | 'heapMib'>,
  failed: Readonly<Record<string, string>>,
): Report => {
  const last = points.at(-1);
  if (last === undefined) throw new Error('ADAPTLET_BENCH_FLEET names no size');
  const results: Record<string, Variant> = { ...last.measured.results };
  const setup: Record<string, string | number> = {
    ...setupOf(last, ''),
    adapters: last.size.adapters,
    rollouts: last.size.rollouts,
    namespaces: last.size.namespaces,
    rounds: settings.rounds,
    every_s: settings.everySeconds,
    idle_s: settings.idleSeconds,
    quiet: settings.quiet,
    operator_heap_mib: settings.heapMib,
    lease_s: 20,
    ...failed,
  };
  if (points.length > 1) {
    for (const point of points) {
      const suffix = `_r${point.size.runtimes}`;
      for (const [name, value] of Object.entries(point.measured.results)) results[`${name}${suffix}`] = value;
      Object.assign(setup, setupOf(point, suffix));
    }
  }
  return report('fleet', 'ms', { results, ratios: ratiosOf(points), setup });
};
