import { setTimeout as sleep } from 'node:timers/promises';
import { pino } from 'pino';
import type { Digest } from '../../../src/api/names.ts';
import { connectKube, type KubeConnection } from '../../../src/kube/client/client.ts';
import { pathOf } from '../../../src/kube/client/object.ts';
import { runtimeType } from '../../../src/operator/objects/resource-types.ts';
import { graceMs } from '../../../src/operator/reconcile/controller.ts';
import { writeRates } from '../../../src/operator/reconcile/write-budget.ts';
import { systemClock } from '../../../src/time/clock.ts';
import { startCluster } from '../../cluster/index.ts';
import { enlist } from '../../hollow/enlist.ts';
import { HollowFleet } from '../../hollow/hosts.ts';
import { machineMs, type Reached } from '../../hollow/orders.ts';
import { quick } from '../../hollow/ports.ts';
import { AuditLog } from '../../support/audit.ts';
import { systemNamespace, TestFleet } from '../../support/fleet.ts';
import { operatorMemory } from '../../support/operator.ts';
import { waitFor } from '../../support/wait.ts';
import { type Variant, variant } from '../report.ts';
import { countsOf, countsSince, isQuiet } from './operator-counts.ts';
import { childrenCalled, rssMib, startCpuMeter } from './processes.ts';
import type { FleetSettings, Size } from './sizes.ts';
import { Workload } from './workload.ts';

/** What was measured of one size. */
export type Measured = {
  readonly results: Readonly<Record<string, Variant>>;
  /** Share of a core under load, by process; `all` is their sum, `machine` what all processes there are used. */
  readonly cpu: Readonly<Record<string, number>>;
  /** Changes that were not in force everywhere within {@link patienceMs}. */
  readonly late: number;
};

/** How long a change may take to be in force everywhere. */
const patienceMs = 120_000;
const flapMs = 300;
/** A runtime whose link was cut in one of so many last rounds is not waited for. */
const flapRounds = 3;
const mostAborts = 10;
/** How long events may take to be told, and observations of few objects to be written. */
const [toldMs, observedMs] = [300_000, 10_000] as const;
/** How long observations of all runtimes, of all rollouts and of their two Adapters each may take to be written. */
const turnsMs = ({ runtimes, rollouts }: Size): number => {
  const each = (kind: keyof typeof writeRates): number => 1000 / writeRates[kind].Observation.perSecond;
  return runtimes * each('AdapterRuntime') + rollouts * (each('AdapterRollout') + 2 * each('Adapter'));
};

const say = (text: string): void => console.error(text);
const one = (value: number): Variant => variant([value]);
const lastOf = ({ at }: Reached): number => Math.max(...Object.values(at));

type Parts = {
  readonly size: Size;
  readonly settings: FleetSettings;
  readonly fleet: TestFleet;
  readonly audit: AuditLog;
  readonly hollows: HollowFleet;
  readonly workload: Workload;
};

/** Milliseconds from a change until it is in force on all runtimes but some; undefined: not in time. */
const untilEffective = async (
  { hollows, workload }: Parts,
  rollout: number,
  { act, weight, except = [] }: { act: () => Promise<void>; weight: number; except?: readonly string[] },
): Promise<number | undefined> => {
  const question = { rollout: workload.key(rollout), weight, except, timeoutMs: patienceMs };
  const reached = hollows.whenEffective(question);
  const began = machineMs();
  await act();
  const { at, missing } = await reached;
  return missing.length > 0 ? undefined : lastOf({ at, missing }) - began;
};

const change = (parts: Parts, rollout: number, except: readonly string[] = []): Promise<number | undefined> =>
  untilEffective(parts, rollout, {
    act: () => parts.workload.change(rollout),
    weight: parts.workload.nextWeight(rollout),
    except,
  });

/** Bytes of the JSON of an AdapterRuntime. */
const objectBytes = async (api: KubeConnection): Promise<number> => {
  const path = pathOf(runtimeType, systemNamespace, nameOf(0));
  return JSON.stringify(await api.request({ method: 'GET', path })).length;
};

/** The runtime whose link flaps in a round. */
const flappingIn = (round: number, { runtimes }: Size): string => nameOf((round * 7) % runtimes);

/** Cuts a link half a second after the beginning of a round, and puts it back. */
const flap = async ({ hollows, size }: Parts, round: number): Promise<void> => {
  const name = flappingIn(round, size);
  await sleep(500);
  await hollows.cut([name]);
  await sleep(flapMs);
  await hollows.restore([name]);
};

const untilQuiet = ({ fleet, size, settings: { quiet } }: Parts): Promise<unknown> =>
  waitFor('a quiet operator', () => isQuiet(fleet.operators, quiet), toldMs + turnsMs(size));

/** One flap of a link a second, and nothing else. */
const onlyFlaps = async (parts: Parts): Promise<Record<string, Variant>> => {
  const { fleet, settings } = parts;
  await untilQuiet(parts);
  const meter = await startCpuMeter({ operator: fleet.operators.map(({ pid }) => pid) });
  const [counts, began] = [await countsOf(fleet.operators), performance.now()];
  for (let round = 0; round < settings.rounds; round++) {
    await sleep(Math.max(0, began + round * 1000 - performance.now()));
    await flap(parts, round);
  }
  // What is only observed of few runtimes is written within 10 s.
  await sleep(observedMs);
  const seconds = (performance.now() - began) / 1000;
  const { operator = 0 } = await meter();
  const { writes } = countsSince(counts, await countsOf(fleet.operators));
  return {
    flap_api_writes: one(writes / settings.rounds),
    flap_leader_cpu_ms: one((operator * seconds * 1000) / settings.rounds),
  };
};

const writing: ReadonlySet<string> = new Set(['create', 'update', 'patch', 'delete']);

/** Requests of the operator that change something, by verb and kind, a second. `before`: noted before that. */
const writesByKind = async (
  audit: AuditLog,
  before: number,
  seconds: number,
): Promise<Record<string, Variant>> => {
  const made = (await audit.requests()).slice(before).filter(({ verb }) => writing.has(verb));
  const counts = Object.groupBy(made, ({ verb, resource }) => `${verb}_${resource.replace('/', '_')}`);
  return Object.fromEntries(
    Object.entries(counts).map(([what, all = []]) => [`api_writes_per_s_${what}`, one(all.length / seconds)]),
  );
};

/** One change of a rollout and one flap of a link in each round. */
const underLoad = async (parts: Parts): Promise<Measured> => {
  const { size, settings, fleet, audit, hollows } = parts;
  const operators = [...fleet.operators];
  const meter = await startCpuMeter({
    operator: operators.map(({ pid }) => pid),
    hollow: hollows.pids,
    bench: [process.pid],
    api_server: await childrenCalled('kube-apiserver'),
    etcd: await childrenCalled('etcd'),
    controller_manager: await childrenCalled('kube-controller-manager'),
  });
  const [noted, counts, traffic, began] = [
    (await audit.requests()).length,
    await countsOf(operators),
    (await hollows.census()).traffic,
    performance.now(),
  ];
  const flapped: string[] = [];
  const rss: number[] = [];
  const changes: Promise<number | undefined>[] = [];
  const flaps: Promise<void>[] = [];
  for (let round = 0; round < settings.rounds; round++) {
    await sleep(Math.max(0, began + round * settings.everySeconds * 1000 - performance.now()));
    flapped.push(flappingIn(round, size));
    flaps.push(flap(parts, round));
    changes.push(change(parts, round % size.rollouts, flapped.slice(-flapRounds)));
    rss.push(await rssMib(operators[0]?.pid ?? 0));
  }
  const times = (await Promise.all(changes)).filter((time) => time !== undefined);
  await Promise.all(flaps);
  const seconds = (performance.now() - began) / 1000;
  const cpu = await meter();
  const work = countsSince(counts, await countsOf(operators));
  const now = (await hollows.census()).traffic;
  const passed = now.sentBytes + now.receivedBytes - traffic.sentBytes - traffic.receivedBytes;
  return {
    results: {
      ...(times.length === 0 ? {} : { apply_to_effective: variant(times) }),
      operator_rss_mib: variant(rss),
      leader_cpu: one(cpu['operator'] ?? 0),
      leader_cpu_ms_per_round: one(((cpu['operator'] ?? 0) * seconds * 1000) / settings.rounds),
      api_writes_per_s: one(work.writes / seconds),
      ...(await writesByKind(audit, noted, seconds)),
      commits_per_change: one(work.commits / settings.rounds),
      puts_per_change: one(work.puts / settings.rounds),
      body_bytes_per_change: one(work.sentBytes / settings.rounds),
      socket_bytes_per_node_change: one(passed / settings.rounds / size.runtimes),
      messages_from_runtimes_per_change: one((now.sentMessages - traffic.sentMessages) / settings.rounds),
      compilations_per_change: one(work.compilations / settings.rounds),
      compile_ms_per_change: one((1000 * work.compileSeconds) / settings.rounds),
    },
    cpu,
    late: settings.rounds - times.length,
  };
};

const aborts = async (parts: Parts): Promise<Record<string, Variant>> => {
  const times: number[] = [];
  for (let i = 0; i < Math.min(mostAborts, parts.size.rollouts - 1); i++) {
    const time = await untilEffective(parts, i, { act: () => parts.workload.abort(i), weight: 0 });
    if (time !== undefined) times.push(time);
  }
  return times.length === 0 ? {} : { abort_to_effective: variant(times) };
};

/** All links are cut and put back at once, and one change is made at this moment. */
const reconnectAll = async (parts: Parts): Promise<Record<string, Variant>> => {
  const { fleet, hollows, size } = parts;
  const before = (await hollows.census()).traffic;
  const who = {
    operator: fleet.operators.map(({ pid }) => pid),
    hollow: hollows.pids,
    api_server: await childrenCalled('kube-apiserver'),
  };
  await hollows.cut();
  await waitFor('all links to be cut', async () => (await hollows.census()).connected === 0);
  const meter = await startCpuMeter(who);
  const began = machineMs();
  const effective = change(parts, size.rollouts - 1);
  await hollows.restore();
  const connected = await hollows.whenConnected(patienceMs);
  if (connected.missing.length > 0) throw new Error(`${connected.missing.length} runtimes did not come back`);
  const seconds = (lastOf(connected) - began) / 1000;
  const cores = Object.entries(await meter()).map(([name, share]) => [`reconnect_cores_${name}`, one(share)]);
  const { traffic } = await hollows.census();
  const time = await effective;
  return {
    reconnect_all_s: one(seconds),
    reconnect_dials: one((traffic.connections - before.connections) / size.runtimes),
    ...Object.fromEntries(cores),
    ...(time === undefined ? {} : { reconnect_to_effective_s: one(time / 1000) }),
  };
};

const idle = async (parts: Parts): Promise<Record<string, Variant>> => {
  const { fleet, hollows, settings, size } = parts;
  await untilQuiet(parts);
  const { traffic } = await hollows.census();
  const [counts, began] = [await countsOf(fleet.operators), performance.now()];
  await sleep(settings.idleSeconds * 1000);
  const seconds = (performance.now() - began) / 1000;
  const now = (await hollows.census()).traffic;
  const bytes = now.sentBytes - traffic.sentBytes + now.receivedBytes - traffic.receivedBytes;
  const { writes } = countsSince(counts, await countsOf(fleet.operators));
  return {
    idle_bytes_per_node_hour: one((bytes / size.runtimes / seconds) * 3600),
    ...(settings.quiet === 'writes' ? { idle_api_writes_per_min: one((writes / seconds) * 60) } : {}),
  };
};

/** The leader is killed; a second replica has to become leader and decide about a change, then serve all runtimes. */
const failover = async (parts: Parts): Promise<Record<string, Variant>> => {
  const { fleet, hollows, workload, size } = parts;
  const rollout = size.rollouts - 1;
  await fleet.startOperator(1);
  await hollows.dial(fleet.operators.map(({ grpc }) => grpc));
  const leader = await fleet.leader();
  const began = machineMs();
  await leader.end('SIGKILL');
  await hollows.dial(fleet.operators.filter((operator) => operator !== leader).map(({ grpc }) => grpc));
  const effective = change(parts, rollout);
  // Before the change is at the API server, it is not there to be decided about.
  await sleep(200);
  await waitFor('the next decision', () => workload.isDecided(rollout), patienceMs);
  const decided = machineMs();
  const time = await effective;
  return {
    failover_s: one((decided - began) / 1000),
    ...(time === undefined ? {} : { failover_to_effective_s: one(time / 1000) }),
  };
};

const nameOf = (runtime: number): string => `hollow-${runtime}`;

const enlisted = async (fleet: TestFleet, api: KubeConnection, { runtimes }: Size): Promise<HollowFleet> =>
  HollowFleet.open({
    addresses: fleet.operators.map(({ grpc }) => grpc),
    caFile: await fleet.authority(),
    model: {
      name: 'tiny',
      source: '/models/tiny',
      digest: `sha256:${'b'.repeat(64)}` as Digest,
      manifestDigest: `sha256:${'c'.repeat(64)}` as Digest,
    },
    behaviour: quick,
    runtimes: await enlist(api, {
      namespace: systemNamespace,
      names: Array.from({ length: runtimes }, (_, i) => nameOf(i)),
      folder: fleet.folder,
    }),
  });

/** A cluster, an operator and a fleet of this size from nothing, and what was measured of them. */
export const measure = async (size: Size, settings: FleetSettings): Promise<Measured> => {
  const { heapMib, profile } = settings;
  const memory = operatorMemory(heapMib);
  const profiling = profile === undefined ? '' : ` --cpu-prof --cpu-prof-dir=${profile}`;
  await using audit = await AuditLog.of([`system:serviceaccount:${systemNamespace}:adaptlet-operator`]);
  await using cluster = await startCluster({ controllerManager: true, apiServerFlags: audit.flags });
  await using fleet = await TestFleet.start({
    cluster,
    replicas: 1,
    runtimes: 0,
    say,
    endWithUs: true,
    operatorSettings: { 'lease-duration': '20s', 'log-level': 'info' },
    operatorEnv: { ...memory, NODE_OPTIONS: `${memory.NODE_OPTIONS}${profiling}` },
  });
  const { kubeconfig } = cluster;
  const api = connectKube({ kubeconfig, clock: systemClock, logger: pino({ enabled: false }) });
  const workload = new Workload(api, size);
  say(`creating ${size.adapters} Adapters and ${size.rollouts} rollouts in ${size.namespaces} namespaces`);
  await workload.create();
  say(`connecting ${size.runtimes} runtimes`);
  await using hollows = await enlisted(fleet, api, size);
  await hollows.connect();
  say('binding a canary to each rollout');
  await workload.beginCanaries();
  const parts = { size, settings, fleet, audit, hollows, workload };
  // What a new leader writes once of each runtime, when it has heard of all, and of new adapters are no part of a step.
  await sleep(graceMs);
  await untilQuiet(parts);
  say(`${settings.rounds * settings.everySeconds} s of load`);
  const measured = await underLoad(parts);
  const results: Record<string, Variant> = {
    ...measured.results,
    runtime_object_bytes: one(await objectBytes(api)),
  };
  const ways = { flaps: onlyFlaps, abort: aborts, reconnect: reconnectAll, idle, failover };
  for (const [part, way] of Object.entries(ways)) {
    if (!settings.parts.has(part as keyof typeof ways)) continue;
    say(part);
    Object.assign(results, await way(parts));
  }
  // A profile is written at an orderly end.
  if (profile !== undefined) await fleet.operators[0]?.end('SIGTERM');
  api.close();
  return { ...measured, results };
};
