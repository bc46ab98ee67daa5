import type { Report } from '../../test/bench/report.ts';
import { goals, largeFleet, outcomeOf, sizeOf, sizeText, verdicts } from './bench-goals.ts';
import { code, table } from './table.ts';

/** Three digits. */
export const number = (value: number): string =>
  Number(value.toPrecision(3)).toLocaleString('en-US', { maximumFractionDigits: 9 });

/** All digits. */
export const exact = (value: number): string => value.toLocaleString('en-US');

/** What results of one of several sizes end with: `_r300`. */
export const suffixesOf = ({ setup }: Report): readonly string[] =>
  Object.keys(setup).flatMap((key) => /^runtimes(_r\d+)$/.exec(key)?.[1] ?? []);

type Row = readonly [key: string, what: string, of: 'median' | 'p99', exponent?: string];

const timed: readonly Row[] = [
  ['apply_to_effective', 'change of a weight to in force on all runtimes, median, ms', 'median'],
  ['apply_to_effective', 'the same, p99', 'p99'],
  ['abort_to_effective', 'abort to no canary on any runtime, p99, ms', 'p99'],
  ['reconnect_all_s', 'all connected again after all links were cut, s', 'median'],
  ['failover_s', 'leader killed to the next decision, with a lease of 20 s, s', 'median'],
  ['operator_rss_mib', 'memory of the leader, MiB', 'median'],
  ['leader_cpu', 'processor of the leader, share of a core', 'median'],
  ['leader_cpu_ms_per_round', 'the same for one step and one flap, ms', 'median'],
  ['api_writes_per_s', 'writes to the API server per second', 'median'],
  ['flap_api_writes', 'writes for a flap alone', 'median'],
  ['flap_leader_cpu_ms', 'processor of the leader for a flap alone, ms', 'median'],
  ['commits_per_change', 'commits of a change', 'median'],
  ['compilations_per_change', 'compilations of a change', 'median'],
  ['messages_from_runtimes_per_change', 'messages of runtimes for a change', 'median'],
  ['socket_bytes_per_node_change', 'bytes of a node for a change, both ways', 'median'],
  ['idle_bytes_per_node_hour', 'bytes of an idle node in an hour, both ways', 'median'],
];

/** Work, which a busy machine leaves as it is, and times, which it does not. */
const counted: readonly Row[] = [
  ['commits_per_change', 'commits of a change', 'median', 'commits'],
  ['compilations_per_change', 'compilations of a change', 'median', 'compilations'],
  ['messages_from_runtimes_per_change', 'messages of runtimes for a change', 'median', 'messages'],
  ['body_bytes_per_change', 'bytes of resources for a change', 'median', 'bytes'],
  ['leader_cpu_ms_per_round', 'processor of the leader for one step and one flap, ms', 'median', 'cpu'],
  ['operator_rss_mib', 'memory of the leader, MiB', 'median', 'rss'],
  ['api_writes_per_s', 'writes to the API server per second', 'median', 'writes'],
  ['apply_to_effective', 'change of a weight to in force on all runtimes, median, ms', 'median', 'effective'],
  ['apply_to_effective', 'the same, p99', 'p99'],
  ['abort_to_effective', 'abort to no canary on any runtime, median, ms', 'median', 'abort'],
  ['abort_to_effective', 'the same, p99', 'p99'],
];

const cellsOf = ({ results }: Report, [key, what, of]: Row, suffixes: readonly string[]): string[] => [
  what,
  ...suffixes.map((suffix) => {
    const found = results[`${key}${suffix}`];
    return found === undefined ? 'not measured' : number(found[of]);
  }),
];

/** Sizes that were tried and failed, with the reason. */
const failuresOf = ({ setup }: Report): readonly string[] =>
  Object.entries(setup).flatMap(([key, why]) => {
    const runtimes = /^failed_r(\d+)$/.exec(key)?.[1];
    return runtimes === undefined ? [] : ['', `${number(Number(runtimes))} runtimes failed: ${why}.`];
  });

/** A row for each number that was measured, a column for each size. */
export const timedTable = (report: Report): readonly string[] => {
  const suffixes = suffixesOf(report);
  return [
    ...table(
      ['runtimes', ...suffixes.map((suffix) => suffix.slice(2))],
      [
        ...timed.map((row) => cellsOf(report, row, suffixes)),
        ...[
          ['cpu_all', 'cores that the bench kept busy under load'],
          ['cpu_machine', 'cores that were busy, by others too'],
        ].map(([key = '', what = '']) => [
          what,
          ...suffixes.map((suffix) => number(Number(report.setup[`${key}${suffix}`] ?? 0))),
        ]),
      ],
    ),
    ...failuresOf(report),
  ];
};

/** The same of counts alone, with the exponent of each beside its goal. */
export const countedTable = (report: Report): readonly string[] => {
  const suffixes = suffixesOf(report);
  return [
    ...table(
      ['runtimes', ...suffixes.map((suffix) => suffix.slice(2)), 'exponent', 'goal', ''],
      counted.map((row) => [...cellsOf(report, row, suffixes), ...exponentCells(report, row[3])]),
    ),
    ...failuresOf(report),
  ];
};

/** An exponent, its goal, and whether it is reached, as far as there is one. */
const exponentCells = (report: Report, name: string | undefined): readonly string[] => {
  const key = `${name}_exponent`;
  const exponentOf = report.ratios[key];
  const goal = goals.find((one) => one.bench === report.bench && one.key === key);
  const outcome = goal && outcomeOf(goal, [report]);
  return goal === undefined || outcome === undefined
    ? [exponentOf === undefined ? '' : number(exponentOf), '', '']
    : [number(outcome.value), `${goal.bound} ${goal.value}`, verdicts[outcome.verdict]];
};

const growths: Readonly<Record<string, string>> = {
  cpu: 'processor of the leader for a step and a flap, ms',
  rss: 'memory of the leader, MiB',
  effective: 'change of a weight to in force on all, median, ms',
  abort: 'abort to no canary on any, median, ms',
  reconnect: 'all connected again, s',
  writes: 'writes to the API server per second',
  flap_writes: 'writes for a flap alone',
  flap_cpu: 'processor of the leader for a flap alone, ms',
  commits: 'commits of a change',
  bytes: 'bytes of resources for a change',
  messages: 'messages of runtimes for a change',
  compilations: 'compilations of a change',
};

/** How what was measured grows with the number of runtimes. */
export const growthTable = ({ ratios }: Report): readonly string[] =>
  table(
    ['what', 'exponent', 'line: without runtimes', 'and with each'],
    Object.entries(growths).flatMap(([name, what]) => {
      if (!(`${name}_exponent` in ratios)) return [];
      const of = (suffix: string): string => number(ratios[`${name}_${suffix}`] ?? 0);
      return [[what, of('exponent'), of('base'), of('per_runtime')]];
    }),
  );

/** What a large fleet reached of the goals for one. */
export const largeTable = (report: Report): readonly string[] =>
  table(
    ['what', 'key', sizeText(sizeOf(report)), 'goal', ''],
    goals.flatMap((goal) => {
      const outcome = goal.of && outcomeOf(goal, [report]);
      return outcome === undefined
        ? []
        : [
            [
              goal.what,
              code(goal.key),
              number(outcome.value),
              `${goal.bound} ${number(goal.value)}`,
              verdicts[outcome.verdict],
            ],
          ];
    }),
  );

/** What a change takes of the cores of one machine, where a fleet has a machine for each runtime. */
export const burstOf = ({ results, setup }: Report): readonly string[] => {
  const { runtimes } = largeFleet;
  const p99 = results[`apply_to_effective_r${runtimes}`]?.p99;
  const [all, ofRuntimes] = ['all', 'hollow'].map(
    (name) => Number(setup[`cpu_${name}_r${runtimes}`]) * Number(setup['every_s']),
  );
  if (p99 === undefined || !all || !ofRuntimes) return [];
  return [
    `A step and a flap of ${number(runtimes)} runtimes take ${number(all)} s of processor, ${number(ofRuntimes)} of them in the runtimes, each of which has a machine of its own in a fleet: two cores take ${number(all / 2)} s at least for that,`,
    `however idle they are until the next one. The goal for a change, p99 within 1,000 ms, is that of the large fleet; of the ten changes here the slowest took ${number(p99)} ms.`,
  ];
};
