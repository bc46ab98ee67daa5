import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { observationsPerSecond } from '../../src/operator/reconcile/write-budget.ts';
import { maxElsewhere } from '../../src/rollout/judge/elsewhere.ts';
import { maxCounters, maxWeights } from '../../src/runtime/serving/counts/split-counts.ts';
import type { Report } from '../../test/bench/report.ts';
import { sizeOf, sizeText } from './bench-goals.ts';
import {
  bytesPerMonth,
  canaryCounts,
  capacities,
  countsMib,
  headers,
  type Inputs,
  inputsOf,
  limits,
  packetsPerStep,
  partOf,
  shardsFor,
  withinMemory,
  writesAlone,
} from './capacity.ts';
import {
  burstOf,
  countedTable,
  exact,
  growthTable,
  largeTable,
  number,
  suffixesOf,
  timedTable,
} from './scale-tables.ts';
import { code, table } from './table.ts';

/** Saved reports of the bench. Small: times and lines; counted: counts of many runtimes; large: the fleet that the goals are for. */
const sources = { small: 'fleet', counted: 'fleet-counted', large: 'fleet-large' } as const;
const folder = 'docs/reference/performance';
const page = 'docs/explanation/scale.md';
const root = join(import.meta.dirname, '../..');

const fleetNodes = 100_000;
/**
 * Of a reward for an answer that another runtime gave, where a runtime is told of 16 for each of many others: bytes on each of
 * its two ways (scale.test.ts) and in the memory of the leader (src/operator/fleet/heap.test.ts, and what is merged of it).
 */
export const feedback = { wireBytes: 13, leaderBytes: 32 };

const paces: readonly (readonly [what: string, perHour: number])[] = [
  ['a step a second', 3600],
  ['a step a minute', 60],
  ['a step an hour', 1],
];

/** More than anybody asks for is said to be. */
const runtimesText = (limit: number): string =>
  limit === Infinity ? 'no limit' : limit > 1e6 ? 'over 1,000,000' : number(limit);

const shardTable = (inputs: Inputs): readonly string[] =>
  table(
    [
      'steps in the fleet',
      'by processor',
      'by memory',
      'by reconnects',
      'by writes',
      'by streams',
      'operators',
    ],
    paces.map(([what, perHour]) => {
      const { cpu, memory, reconnect, writes, streams } = capacities(inputs, perHour / 3600);
      return [
        what,
        ...[cpu, memory, reconnect, writes].map(runtimesText),
        number(streams),
        number(shardsFor(fleetNodes, inputs, perHour / 3600)),
      ];
    }),
  );

const monthTable = (inputs: Inputs): readonly string[] =>
  table(
    [
      'steps that concern a node',
      'MB in a month, TCP',
      'headers of TCP and IP, MB',
      'cost, a GB at 1',
      'a GB at 10',
    ],
    [['none: idle', 0] as const, ...paces.toReversed()].map(([what, perHour]) => {
      const { payload, headers: ofPackets } = bytesPerMonth(inputs, perHour);
      const bytes = payload + ofPackets;
      return [what, ...[payload / 1e6, ofPackets / 1e6, bytes / 1e9, bytes / 1e8].map(number)];
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

/** Canaries at once, and weights of each until now. The last row is the most that a runtime keeps. */
const canaryRows: readonly (readonly [canaries: number, weights: number])[] = [
  [1, 1],
  [20, 1],
  [20, 5],
  [maxCounters / maxWeights, maxWeights],
];

const canaryTable = (inputs: Inputs): readonly string[] =>
  table(
    [
      'canaries at once',
      'weights of each until now',
      'a runtime, MiB',
      '1,000 runtimes, MiB',
      'runtimes in a part, by memory',
    ],
    canaryRows.map(([canaries, weights]) => {
      const counts = canaries * weights;
      const each = countsMib(counts);
      return [canaries, weights, each, 1_000 * each, withinMemory(inputs, counts)].map(number);
    }),
  );

/** What the line of writes is of, and what a large fleet wrote. */
const writesOfLarge = (large: Report | undefined): readonly string[] => {
  const writes = large?.results['api_writes_per_s']?.median;
  const commits = large?.results['commits_per_change']?.median;
  if (large === undefined || writes === undefined || commits === undefined) return [];
  const { runtimes } = sizeOf(large);
  const overtook =
    commits < runtimes
      ? `, where changes overtook each other (${number(commits)} commits of each in place of ${number(runtimes)})`
      : '';
  return [
    `The formula takes the line of ${sources.small}.json, of a machine that kept up. ${sizeText(sizeOf(large))} wrote ${number(writes)} times a second (${sources.large}.json)${overtook}: the larger one is the safe one.`,
  ];
};

type Reports = {
  readonly small: Report;
  readonly counted?: Report | undefined;
  readonly large?: Report | undefined;
};

/** What the lines are not for: a large fleet took more. */
const beyondLines = (inputs: Inputs, report: Report, large: Report | undefined): readonly string[] => {
  const ofLines = `${number(Number(report.setup['adapters']))} Adapters x ${report.setup['rollouts']} rollouts, up to ${number(sizeOf(report).runtimes)} runtimes`;
  const head = `**The lines are those of the small plan: ${ofLines}.**`;
  if (large === undefined) return [head];
  const size = sizeOf(large);
  const line = (base: number, each: number): string => number(base + each * size.runtimes);
  const told = (key: string): string => {
    const found = large.results[key];
    return found === undefined ? 'not measured' : number(found.median);
  };
  return [
    `${head} For more of these they do not hold:`,
    `${sizeText(size)} (runtimes x Adapters x rollouts) took ${told('operator_rss_mib')} MiB and ${told('reconnect_all_s')} s to be connected again, where the lines give`,
    `${line(inputs.rssBase, inputs.rssPerRuntime)} MiB and ${line(inputs.reconnectBase, inputs.reconnectPerRuntime)} s; [its table](#the-large-fleet) is below.`,
  ];
};

/** A saved curve without a date is older than what it would measure now. */
const ageOfCurve = (counted: Report | undefined): readonly string[] => [
  'The curve is from before a runtime that comes back is told what changed alone ([ADR 76](../adr/0076-a-reconnect-costs-what-changed.md)), before a node writes',
  'what changed of its plan ([ADR 77](../adr/0077-a-node-writes-what-changed.md)), before what many runtimes say alike is kept once',
  '([ADR 82](../adr/0082-what-a-fleet-says-alike-is-said-once.md)), and before a weight alone writes no AdapterRuntime',
  `([ADR 100](../adr/0100-a-weight-alone-writes-no-adapterruntime.md)). ${counted === undefined ? 'It was not measured again.' : 'Its times were not measured again; [counts](#counts-of-more-runtimes) were.'}`,
];

/** Sizes of which a change was in force later than the next one began, so that a runtime got two at once. */
const overtaken = ({ results, setup }: Report): readonly string[] => {
  const everyMs = 1000 * Number(setup['every_s'] ?? 1);
  const sizes = Object.entries(results).flatMap(([key, { p99 }]) => {
    const runtimes = /^apply_to_effective_r(\d+)$/.exec(key)?.[1];
    return runtimes === undefined || p99 <= everyMs ? [] : [number(Number(runtimes))];
  });
  return sizes.length === 0
    ? []
    : [
        `With ${sizes.join(' and ')} runtimes some changes took longer than that to be in force: a runtime got two at once, so counts of a change are too low there.`,
      ];
};

const countedPart = (report: Report | undefined): readonly string[] =>
  report === undefined
    ? []
    : [
        '### Counts of more runtimes',
        '',
        `Up to ${number(sizeOf(report).runtimes)} runtimes with ${number(Number(report.setup['adapters']))} Adapters and ${report.setup['rollouts']} rollouts, a heap of ${report.setup['operator_heap_mib']} MiB, and a step and a flap every ${report.setup['every_s'] ?? 1} s. Runtimes and operator share the cores of one machine:`,
        `where it is busy, times say how fast that is, and counts of work hold. Of the largest size the limit was: ${report.setup['limit']}.`,
        ...overtaken(report),
        ...burstOf(report),
        '',
        ...countedTable(report),
        '',
      ];

const largePart = (report: Report | undefined): readonly string[] =>
  report === undefined
    ? []
    : [
        '### The large fleet',
        '',
        `${sizeText(sizeOf(report))} (runtimes x Adapters x rollouts) in ${report.setup['namespaces']} namespaces, beside the goals. The limit was: ${report.setup['limit']}.`,
        'Memory and writes are those of the leader under a step and a flap a second, some minutes after the canaries of 200 rollouts were bound: events and statuses of that may still be',
        'told then. An earlier run, which waited until nothing was written any more, took 481 MiB (489 at most) and 10.2 writes a second ([ADR 82](../adr/0082-what-a-fleet-says-alike-is-said-once.md)).',
        '',
        ...largeTable(report),
        '',
        ...curveOf(report),
      ];

/** A large fleet of several sizes. */
const curveOf = (report: Report): readonly string[] =>
  suffixesOf(report).length === 0
    ? []
    : ['The same objects with fewer runtimes:', '', ...timedTable(report), ''];

/** Where a large fleet took longer to be connected again than a part may. */
const reconnectsOfLarge = (large: Report | undefined): readonly string[] => {
  const seconds = large?.results['reconnect_all_s']?.median ?? 0;
  if (large === undefined || seconds <= limits.reconnectSeconds) return [];
  return [
    `**The column of reconnects is not for fleets as large as the one above**: its ${number(sizeOf(large).runtimes)} runtimes took ${number(seconds)} s to be connected again.`,
  ];
};

/** The page about scale, of the reports that are saved. */
export const scaleText = ({ small: report, counted, large }: Reports, inputs: Inputs): string => {
  const { setup, machine } = report;
  const part = partOf(inputs, 1 / 60);
  const saved = Object.entries({ small: report, counted, large }).flatMap(([name, one]) =>
    one === undefined ? [] : [sources[name as keyof typeof sources]],
  );
  return [
    '# Scale',
    '',
    'What a fleet costs one operator, and what that means for more nodes than were measured. This page is generated from',
    `${saved.map((name) => `[${name}.json](../reference/performance/${name}.json)`).join(', ')}, which ${code('npm run -s bench -- fleet --json')} printed.`,
    'Of which code and machine it is, says [Performance](../reference/performance.md#a-node).',
    '',
    ...beyondLines(inputs, report, large),
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
    ...(report.date === undefined ? [...ageOfCurve(counted), ''] : []),
    ...timedTable(report),
    '',
    'How that grows with the number of runtimes: exponent of the best power law (1: in proportion, 0: not at all), and the best line.',
    '',
    ...growthTable(report),
    '',
    ...countedPart(counted),
    ...largePart(large),
    `## ${number(fleetNodes)} nodes`,
    '',
    'Calculated from the lines of the small plan, not measured. Nothing here says that a line goes on beyond the sizes above.',
    '',
    '### How many operators',
    '',
    'One leader hears of all runtimes of its operator, so more replicas of one operator share streams and not decisions. More nodes than one',
    'operator takes are split into parts, each with an operator and an API server of its own. With n runtimes in a part and s steps of',
    'rollouts a second:',
    '',
    '```text',
    `processor   ${number(inputs.cpuBase)} + ${number(inputs.cpuPerRuntime)} n s  <= ${limits.core} of a core`,
    `memory      ${number(inputs.rssBase)} + ${number(inputs.rssPerRuntime)} n + ${number(countsMib(1))} n c  <= ${exact(limits.mib)} MiB`,
    `reconnects  ${number(inputs.reconnectBase)} + ${number(inputs.reconnectPerRuntime)} n  <= ${limits.reconnectSeconds} s`,
    `writes      ${number(writesAlone(inputs, 0))} + ${number(writesAlone(inputs, 1) - writesAlone(inputs, 0))} s + min(${number(inputs.writesPerRuntime)} n, ${limits.observed}) <= ${limits.writes} a second`,
    `streams     n                <= ${number(limits.streams)} of a replica`,
    '```',
    '',
    'c: counts of a runtime, one for each weight of each canary that it answered at ([below](#counts-of-canaries)); 0 in the table.',
    `Memory is up to the limit that the chart sets (${code('operator.resources.limits.memory')}); the goal of the bench is 512 MiB. Reconnects and writes are up to their goals.`,
    '',
    'Runtimes in a part by each limit, and operators for all nodes:',
    '',
    ...shardTable(inputs),
    '',
    ...reconnectsOfLarge(large),
    'Where the machine was busy, the line of reconnects is an upper bound. Memory also grows with the Adapters and rollouts that a runtime',
    'holds. The lines of the processor and of writes have the flaps of one link a second in their first terms. Writes set no limit where',
    `flaps and steps leave room for ${limits.observed} a second: what is only observed of runtimes has no more, however many runtimes there are.`,
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
    `a part of ${number(part)} costs ${number(inputs.writesBase + Math.min(limits.observed, inputs.writesPerRuntime * part))} writes a second. When this was measured, a step was such an observation of each runtime; since`,
    '[ADR 100](../adr/0100-a-weight-alone-writes-no-adapterruntime.md) it is none, and the second term is for runtimes that change otherwise.',
    ...writesOfLarge(large),
    `What is only observed of runtimes, Adapters, rollouts and routes together is written ${number(observationsPerSecond)} times a second at most.`,
    inputs.flapWrites === undefined
      ? 'Flaps alone were not measured.'
      : `A flap alone costs ${number(inputs.flapWrites)}: when each link flaps once an hour, ${number(fleetNodes)} nodes write ${number((fleetNodes / 3600) * inputs.flapWrites)} times a second together.`,
    '',
    '### Counts of canaries',
    '',
    `What both arms did is kept for each runtime, canary and weight until the attempt is over: ${exact(canaryCounts.bytes)} bytes at the leader, ${exact(canaryCounts.withFeedbackBytes)} where there is feedback`,
    `and a bit for each answer that has some (src/operator/fleet/heap.test.ts). A runtime that answered nothing at a weight has none of it. It keeps ${maxWeights} weights of a canary and ${maxCounters} in all.`,
    'The lines have none, as hollow runtimes answer nobody. Without feedback, where all runtimes answered at each weight:',
    '',
    ...canaryTable(inputs),
    '',
    'Counts lie on the heap, for which the chart gives 40 % of the limit of memory, 410 MiB, with all else that is on it: that is the nearer limit where they are most of it.',
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
    `TCP of a month     = 730 h x (${number(inputs.idleBytesPerHour)} + ${number(inputs.bytesPerStep)} x steps an hour)`,
    `headers of a month = 730 h x (${exact(headers.bytes * headers.idlePerHour)} + ${number(headers.bytes * packetsPerStep(inputs))} x steps an hour)`,
    'cost of a month    = both x price',
    '```',
    '',
    'Bytes are those of TCP, both ways, with TLS and HTTP/2; those of a step are all bytes under load, flaps included. Headers of TCP and',
    `IP come on top, ${headers.bytes} bytes of each packet: an idle node has about three packets in 20 s, or ${exact(headers.bytes * headers.idlePerHour)} bytes an hour. A step has`,
    `${number(packetsPerStep(inputs))} packets at most, as each message and its acknowledgement may have one of their own. Adapters themselves are not in it.`,
    '',
    ...monthTable(inputs),
    '',
    `${number(fleetNodes)} idle nodes together: ${number((fleetNodes * (inputs.idleBytesPerHour + headers.bytes * headers.idlePerHour) * 8) / 3600 / 1e6)} Mbit/s with headers.`,
    '',
  ].join('\n');
};

/** A report that the bench printed; undefined: none is saved. */
const savedReport = async (name: string): Promise<Report | undefined> => {
  const text = await readFile(join(root, folder, `${name}.json`), 'utf8').catch((error: unknown) => {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  });
  // Written by `npm run -s bench -- fleet --json`.
  return text === undefined ? undefined : (JSON.parse(text) as Report);
};

/** The page about scale, once a curve is saved. */
export const scalePage = async (): Promise<Map<string, string>> => {
  const small = await savedReport(sources.small);
  if (small === undefined) return new Map();
  const inputs = inputsOf(small);
  if (inputs === undefined)
    throw new Error(
      `${folder}/${sources.small}.json is of one size, or of some parts: measure a curve with ADAPTLET_BENCH_FLEET=100,300`,
    );
  const [counted, large] = [await savedReport(sources.counted), await savedReport(sources.large)];
  return new Map([[page, scaleText({ small, counted, large }, inputs)]]);
};
