import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { maxElsewhere } from '../../src/rollout/judge/elsewhere.ts';
import type { Report } from '../../test/bench/report.ts';
import { code, table } from './table.ts';

const source = 'docs/reference/performance/fleet.json';
const page = 'docs/explanation/scale.md';
const root = join(import.meta.dirname, '../..');

/** What the arithmetic is made of, all of it measured. */
export type Inputs = {
  /** Seconds of a core that the leader takes for one step and one flap: without runtimes, and for each. */
  readonly cpuBase: number;
  readonly cpuPerRuntime: number;
  /** MiB. */
  readonly rssBase: number;
  readonly rssPerRuntime: number;
  /** Seconds until all are connected again. */
  readonly reconnectPerRuntime: number;
  readonly idleBytesPerHour: number;
  readonly bytesPerStep: number;
  /** Writes to the API server in a second with one step and one flap: without runtimes, and for each. */
  readonly writesBase: number;
  readonly writesPerRuntime: number;
  /** Writes for one flap alone, in the largest fleet; absent: not measured. */
  readonly flapWrites?: number;
  readonly objectBytes: number;
};

/** What one replica may take. */
const limits = { core: 0.6, mib: 1024, reconnectSeconds: 10, streams: 5_000, observed: 4 };
/**
 * Of a reward for an answer that another runtime gave, where a runtime is told of 16 for each of many others: bytes on each of
 * its two ways (scale.test.ts) and in the memory of the leader (src/operator/fleet/heap.test.ts, and what is merged of it).
 */
export const feedback = { wireBytes: 13, leaderBytes: 32 };
const hoursPerMonth = 730;
const fleetNodes = 100_000;

/** Runtimes that one operator takes, by each limit. A limit that nothing measured comes near to is no limit. */
export const capacities = (inputs: Inputs, stepsPerSecond: number) => {
  const within = (room: number, each: number): number =>
    each <= 0 ? Infinity : Math.max(0, Math.floor(room / each));
  return {
    cpu: within(limits.core - inputs.cpuBase, inputs.cpuPerRuntime * stepsPerSecond),
    memory: within(limits.mib - inputs.rssBase, inputs.rssPerRuntime),
    reconnect: within(limits.reconnectSeconds, inputs.reconnectPerRuntime),
    streams: limits.streams,
  };
};

/** Runtimes of one part, by the nearest limit. */
const partOf = (inputs: Inputs, stepsPerSecond: number): number =>
  Math.max(1, Math.min(...Object.values(capacities(inputs, stepsPerSecond))));

export const shardsFor = (nodes: number, inputs: Inputs, stepsPerSecond: number): number =>
  Math.ceil(nodes / partOf(inputs, stepsPerSecond));

/** Bytes that a node sends and receives in a month, without the headers of TCP and IP. */
export const bytesPerMonth = (inputs: Inputs, stepsPerHour: number): number =>
  hoursPerMonth * (inputs.idleBytesPerHour + stepsPerHour * inputs.bytesPerStep);

/** Three digits; what is more than anybody asks for is said to be. */
const number = (value: number): string =>
  value > 1e6
    ? 'over 1,000,000'
    : Number(value.toPrecision(3)).toLocaleString('en-US', { maximumFractionDigits: 9 });

const inputsOf = ({ results, ratios }: Report): Inputs | undefined => {
  const missing: string[] = [];
  const result = (key: string): number => results[key]?.median ?? (missing.push(key), 0);
  const ratio = (key: string): number => ratios[key] ?? (missing.push(key), 0);
  const inputs = {
    cpuBase: ratio('cpu_base') / 1000,
    cpuPerRuntime: ratio('cpu_per_runtime') / 1000,
    rssBase: ratio('rss_base'),
    rssPerRuntime: ratio('rss_per_runtime'),
    reconnectPerRuntime: ratio('reconnect_per_runtime'),
    idleBytesPerHour: result('idle_bytes_per_node_hour'),
    bytesPerStep: result('socket_bytes_per_node_change'),
    writesBase: ratio('writes_base'),
    writesPerRuntime: ratio('writes_per_runtime'),
    objectBytes: result('runtime_object_bytes'),
  };
  if (missing.length > 0) return undefined;
  const flapWrites = results['flap_api_writes']?.median;
  return flapWrites === undefined ? inputs : { ...inputs, flapWrites };
};

/** A row for each number that was measured, a column for each size. */
const measuredTable = ({ results, setup }: Report): readonly string[] => {
  const sizes = Object.keys(setup).flatMap((key) => /^runtimes(_r\d+)$/.exec(key)?.[1] ?? []);
  const rows: readonly (readonly [key: string, what: string, of: 'median' | 'p99'])[] = [
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
  return table(
    ['runtimes', ...sizes.map((suffix) => suffix.slice(2))],
    [
      ...rows.map(([key, what, of]) => [
        what,
        ...sizes.map((suffix) => {
          const found = results[`${key}${suffix}`];
          return found === undefined ? 'not measured' : number(found[of]);
        }),
      ]),
      ...[
        ['cpu_all', 'cores that the bench kept busy under load'],
        ['cpu_machine', 'cores that were busy, by others too'],
      ].map(([key = '', what = '']) => [
        what,
        ...sizes.map((suffix) => number(Number(setup[`${key}${suffix}`] ?? 0))),
      ]),
    ],
  );
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

const exponents = ({ ratios }: Report): readonly string[] =>
  table(
    ['what', 'exponent', 'line: without runtimes', 'and with each'],
    Object.entries(growths).flatMap(([name, what]) => {
      if (!(`${name}_exponent` in ratios)) return [];
      const of = (suffix: string): string => number(ratios[`${name}_${suffix}`] ?? 0);
      return [[what, of('exponent'), of('base'), of('per_runtime')]];
    }),
  );

const paces: readonly (readonly [what: string, perHour: number])[] = [
  ['a step a second', 3600],
  ['a step a minute', 60],
  ['a step an hour', 1],
];

const shardTable = (inputs: Inputs): readonly string[] =>
  table(
    ['steps in the fleet', 'by processor', 'by memory', 'by reconnects', 'by streams', 'operators'],
    paces.map(([what, perHour]) => {
      const { cpu, memory, reconnect, streams } = capacities(inputs, perHour / 3600);
      return [
        what,
        ...[cpu, memory, reconnect, streams].map(number),
        number(shardsFor(fleetNodes, inputs, perHour / 3600)),
      ];
    }),
  );

const monthTable = (inputs: Inputs): readonly string[] =>
  table(
    ['steps that concern a node', 'MB in a month', 'cost, a GB at 1', 'a GB at 10'],
    [['none: idle', 0] as const, ...paces.toReversed()].map(([what, perHour]) => {
      const bytes = bytesPerMonth(inputs, perHour);
      return [what, ...[bytes / 1e6, bytes / 1e9, bytes / 1e8].map(number)];
    }),
  );

/** A runtime, many of them under one leader, and the whole fleet. */
const feedbackTable = (part: number): readonly string[] =>
  table(
    [
      'runtimes',
      'a reward a minute for each: bytes a second on each way',
      'leader, 100 rewards of each, MiB',
      '8,192 of each, MiB',
    ],
    [1, 1_000, fleetNodes].map((runtimes) => [
      runtimes > part
        ? `${number(runtimes)}, in ${number(Math.ceil(runtimes / part))} parts`
        : number(runtimes),
      number((runtimes / 60) * feedback.wireBytes),
      ...[100, maxElsewhere].map((rewards) => number((runtimes * rewards * feedback.leaderBytes) / 2 ** 20)),
    ]),
  );

const textOf = (report: Report, inputs: Inputs): string => {
  const { setup, machine } = report;
  const part = partOf(inputs, 1 / 60);
  return [
    '# Scale',
    '',
    'What a fleet costs one operator, and what that means for more nodes than were measured. This page is generated from',
    `[fleet.json](../reference/performance/fleet.json), which ${code('npm run -s bench -- fleet --json')} printed.`,
    'Of which code and machine it is, says [Performance](../reference/performance.md#a-node).',
    '',
    '## What was measured',
    '',
    `A real API server with etcd, one replica of the operator (heap ${setup['operator_heap_mib']} MiB, as in the chart), and runtimes without an`,
    'engine ([test/hollow](../../test/hollow/README.md)): the stream, the plan on the disk, reports and residency are the code of a runtime;',
    `a test compares their messages with those of a real one. ${number(Number(setup['adapters']))} Adapters and ${setup['rollouts']} rollouts in ${setup['namespaces']} namespaces,`,
    'each rollout with a stable adapter and a canary that all runtimes hold. Under load one weight changes and one link is cut and put back',
    'in every second. A runtime whose link is cut is not waited for.',
    '',
    `Machine: ${machine.cores} cores, ${machine.cpu}, load average at the end ${machine.loadavg}. Runtimes, API server and operator share the cores: where`,
    'nearly all of them are busy, times say how fast the machine is, and only the counts say something about the operator.',
    `Of the largest size the limit was: ${setup['limit']}.`,
    '',
    ...measuredTable(report),
    '',
    'How that grows with the number of runtimes: exponent of the best power law (1: in proportion, 0: not at all), and the best line.',
    '',
    ...exponents(report),
    '',
    `## ${number(fleetNodes)} nodes`,
    '',
    'Calculated, not measured. Nothing here says that a line goes on beyond the sizes above.',
    '',
    '### How many operators',
    '',
    'One leader hears of all runtimes of its operator, so more replicas of one operator share streams and not decisions. More nodes than one',
    'operator takes are split into parts, each with an operator and an API server of its own. With n runtimes in a part and s steps of',
    'rollouts a second:',
    '',
    '```text',
    `processor   ${number(inputs.cpuBase)} + ${number(inputs.cpuPerRuntime)} n s  <= ${limits.core} of a core`,
    `memory      ${number(inputs.rssBase)} + ${number(inputs.rssPerRuntime)} n    <= ${limits.mib} MiB`,
    `reconnects  ${number(inputs.reconnectPerRuntime)} n          <= ${limits.reconnectSeconds} s`,
    `streams     n                <= ${number(limits.streams)} of a replica`,
    '```',
    '',
    'Runtimes in a part by each limit, and operators for all nodes:',
    '',
    ...shardTable(inputs),
    '',
    'Where the machine was busy, the line of reconnects is an upper bound. Memory also grows with the Adapters and rollouts that a runtime',
    'holds; the line is for the plan above. The line of the processor has the flaps of one link a second in its first term.',
    '',
    '### The API server',
    '',
    `Every node has one AdapterRuntime of ${number(inputs.objectBytes)} bytes of JSON: ${number((fleetNodes * inputs.objectBytes) / 2 ** 20)} MiB for all of them. A connection asks for`,
    'one review of a token. With n runtimes in a part, a step and a flap in each second cost',
    '',
    '```text',
    `writes      ${number(inputs.writesBase)} + min(${number(inputs.writesPerRuntime)} n, ${limits.observed}) a second`,
    '```',
    '',
    `What is only observed of runtimes is written once in 10 s for each of them, and ${limits.observed} times a second in all`,
    `([ADR 64](../adr/0064-writes-and-greetings-have-a-budget.md)), so it is n / ${limits.observed} seconds late at most, and`,
    `a part of ${number(part)} costs ${number(inputs.writesBase + Math.min(limits.observed, inputs.writesPerRuntime * part))} writes a second. When this was measured a step was such an observation of each runtime; since`,
    '[ADR 100](../adr/0100-a-weight-alone-writes-no-adapterruntime.md) it is none, and the second term is for runtimes that change otherwise.',
    inputs.flapWrites === undefined
      ? 'Flaps alone were not measured.'
      : `A flap alone costs ${number(inputs.flapWrites)}: when each link flaps once an hour, ${number(fleetNodes)} nodes write ${number((fleetNodes / 3600) * inputs.flapWrites)} times a second together.`,
    '',
    '### Feedback',
    '',
    'Behind a Service nearly all feedback is about answers that another runtime gave ([ADR 89](../adr/0089-ids-of-answers-say-what-they-count-for.md)). Such a reward',
    `takes ${feedback.wireBytes} bytes, once from the runtime to its replica and once from there to the leader, and ${feedback.leaderBytes} bytes at the leader until the attempt`,
    'is over. A runtime takes in 8,192 at most for each attempt of a canary. A stream that begins, and a new leader, hear all of it again.',
    '',
    ...feedbackTable(part),
    '',
    `Lists that are full take ${number((part * maxElsewhere * feedback.leaderBytes) / 2 ** 20)} MiB at the leader of a part of ${number(part)} for each canary that they are about, on top of the memory above.`,
    '',
    '### Bytes, and a month on a mobile link',
    '',
    '```text',
    `bytes of a month = 730 h x (${number(inputs.idleBytesPerHour)} + ${number(inputs.bytesPerStep)} x steps an hour)`,
    'cost of a month  = bytes x price',
    '```',
    '',
    'Bytes are those of TCP, both ways, with TLS and HTTP/2; those of a step are all bytes under load, flaps included. Headers of TCP and',
    'IP come on top: 52 bytes of each packet, and an idle node has about three packets in 20 s, or 28,080 bytes an hour. Adapters themselves',
    'are not in it.',
    '',
    ...monthTable(inputs),
    '',
    `${number(fleetNodes)} idle nodes together: ${number((fleetNodes * inputs.idleBytesPerHour * 8) / 3600 / 1e6)} Mbit/s.`,
    '',
  ].join('\n');
};

/** The page about scale, once a curve is saved. */
export const scalePage = async (): Promise<Map<string, string>> => {
  const saved = await readFile(join(root, source), 'utf8').catch(() => undefined);
  if (saved === undefined) return new Map();
  // Written by `npm run -s bench -- fleet --json`.
  const report = JSON.parse(saved) as Report;
  const inputs = inputsOf(report);
  if (inputs === undefined)
    throw new Error(
      `${source} is of one size, or of some parts: measure a curve with ADAPTLET_BENCH_FLEET=100,300`,
    );
  return new Map([[page, textOf(report, inputs)]]);
};
