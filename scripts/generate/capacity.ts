import { writeRates } from '../../src/operator/reconcile/write-budget.ts';
import type { Report } from '../../test/bench/report.ts';

/** What the arithmetic is made of, all of it measured. */
export type Inputs = {
  /** Seconds of a core that the leader takes for one step and one flap: without runtimes, and for each. */
  readonly cpuBase: number;
  readonly cpuPerRuntime: number;
  /** MiB. */
  readonly rssBase: number;
  readonly rssPerRuntime: number;
  /** Seconds until all are connected again: without runtimes, and for each. */
  readonly reconnectBase: number;
  readonly reconnectPerRuntime: number;
  readonly idleBytesPerHour: number;
  readonly bytesPerStep: number;
  /** Messages of a node and commits to it, for a step. */
  readonly messagesPerStep: number;
  /** Writes to the API server in a second with one step and one flap: without runtimes, and for each. */
  readonly writesBase: number;
  readonly writesPerRuntime: number;
  /** Writes for one flap alone, in the largest fleet; absent: not measured. */
  readonly flapWrites?: number;
  readonly objectBytes: number;
};

/**
 * What one replica may take. `mib`: its limit in the chart, `operator.resources.limits.memory`. `writes`: the goal of the bench.
 * `observed`: the budget of ADR 64 for runtimes.
 */
export const limits = {
  core: 0.6,
  mib: 1024,
  reconnectSeconds: 10,
  streams: 5_000,
  writes: 10,
  observed: writeRates.AdapterRuntime.Observation.perSecond,
};
const hoursPerMonth = 730;

const within = (room: number, each: number): number =>
  each <= 0 ? Infinity : Math.max(0, Math.floor(room / each));

/** Headers of TCP with timestamps and of IPv4, of each packet; packets of an idle node, both ways: pings with what answers them. */
export const headers = { bytes: 52, idlePerHour: (3 * 3600) / 20 };

/** Writes to the API server in a second that no runtime adds to: of one flap, and of steps. */
export const writesAlone = (
  { writesBase, flapWrites = writesBase }: Inputs,
  stepsPerSecond: number,
): number => flapWrites + Math.max(0, writesBase - flapWrites) * stepsPerSecond;

/**
 * Heap of the leader for the counts of a canary at one weight on a runtime that answered requests of its rollout then
 * (src/operator/fleet/heap.test.ts). Of the lines none has them: hollow runtimes answer nobody.
 */
export const canaryCounts = { bytes: 6_000, withFeedbackBytes: 9_000 };

/** MiB of a runtime with counts of so many canaries, each at so many weights. */
export const countsMib = (counts: number): number => (counts * canaryCounts.bytes) / 2 ** 20;

/** Runtimes that one operator takes by its memory, where each has so many counts. */
export const withinMemory = ({ rssBase, rssPerRuntime }: Inputs, counts: number): number =>
  within(limits.mib - rssBase, rssPerRuntime + countsMib(counts));

/** Runtimes that one operator takes, by each limit, without counts of canaries. Writes are none where they leave room for all that is only observed of runtimes. */
export const capacities = (inputs: Inputs, stepsPerSecond: number) => {
  const writesLeft = limits.writes - writesAlone(inputs, stepsPerSecond);
  return {
    cpu: within(limits.core - inputs.cpuBase, inputs.cpuPerRuntime * stepsPerSecond),
    memory: withinMemory(inputs, 0),
    reconnect: within(limits.reconnectSeconds - inputs.reconnectBase, inputs.reconnectPerRuntime),
    writes: writesLeft >= limits.observed ? Infinity : within(writesLeft, inputs.writesPerRuntime),
    streams: limits.streams,
  };
};

/** Runtimes of one part, by the nearest limit. */
export const partOf = (inputs: Inputs, stepsPerSecond: number): number =>
  Math.max(1, Math.min(...Object.values(capacities(inputs, stepsPerSecond))));

export const shardsFor = (nodes: number, inputs: Inputs, stepsPerSecond: number): number =>
  Math.ceil(nodes / partOf(inputs, stepsPerSecond));

/** Bytes of TCP that a node sends and receives in a month, and the headers of TCP and IP on top of them. */
export const bytesPerMonth = (inputs: Inputs, stepsPerHour: number) => ({
  payload: hoursPerMonth * (inputs.idleBytesPerHour + stepsPerHour * inputs.bytesPerStep),
  headers: hoursPerMonth * headers.bytes * (headers.idlePerHour + stepsPerHour * packetsPerStep(inputs)),
});

/** At most: each message in a packet of its own, with an acknowledgement of its own. */
export const packetsPerStep = ({ messagesPerStep }: Inputs): number => 2 * messagesPerStep;

/** Undefined: it is of one size, or of some parts. */
export const inputsOf = ({ results, ratios }: Report): Inputs | undefined => {
  const missing: string[] = [];
  const result = (key: string): number => results[key]?.median ?? (missing.push(key), 0);
  const ratio = (key: string): number => ratios[key] ?? (missing.push(key), 0);
  const inputs = {
    cpuBase: ratio('cpu_base') / 1000,
    cpuPerRuntime: ratio('cpu_per_runtime') / 1000,
    rssBase: ratio('rss_base'),
    rssPerRuntime: ratio('rss_per_runtime'),
    reconnectBase: ratio('reconnect_base'),
    reconnectPerRuntime: ratio('reconnect_per_runtime'),
    idleBytesPerHour: result('idle_bytes_per_node_hour'),
    bytesPerStep: result('socket_bytes_per_node_change'),
    messagesPerStep: ratio('messages_per_runtime') + ratio('commits_per_runtime'),
    writesBase: ratio('writes_base'),
    writesPerRuntime: ratio('writes_per_runtime'),
    objectBytes: result('runtime_object_bytes'),
  };
  if (missing.length > 0) return undefined;
  const flapWrites = results['flap_api_writes']?.median;
  return flapWrites === undefined ? inputs : { ...inputs, flapWrites };
};
