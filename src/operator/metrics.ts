import type { QueueGauges } from '../kube/queue/queue.ts';
import { exposition, type MetricFamily } from '../telemetry/exposition.ts';
import type { RequestCount } from './counted-api.ts';
import type { RuntimeState } from './fleet/fleet.ts';
import { othersIn } from './fleet/model-census.ts';
import type { InjectionCounts } from './injection/server.ts';
import type { SyncServerGauges } from './sync/server.ts';

/** Every metric of the operator, with one sentence each. docs/reference/metrics.md is generated from this. */
export const operatorMetrics = {
  info: { name: 'adaptlet_operator_info', help: 'Version and name of this replica; always 1.' },
  leader: { name: 'adaptlet_operator_leader', help: '1 on the replica that leads.' },
  epoch: { name: 'adaptlet_operator_leader_epoch', help: 'Term of the present leader.' },
  objects: { name: 'adaptlet_operator_objects', help: 'Objects that this replica has seen, by kind.' },
  synced: {
    name: 'adaptlet_operator_cache_healthy',
    help: '1 while the watch of a kind is reliable.',
  },
  requests: {
    name: 'adaptlet_operator_api_requests_total',
    help: 'Requests to the API server, by method and result.',
  },
  runtimes: { name: 'adaptlet_operator_runtimes', help: 'Runtimes that the leader knows, by connection.' },
  otherModels: {
    name: 'adaptlet_operator_runtimes_other_model',
    help: 'Connected runtimes whose base model has other files than most of that name, as far as the leader knows.',
  },
  streams: { name: 'adaptlet_operator_sync_streams', help: 'Runtimes that are connected to this replica.' },
  waiting: {
    name: 'adaptlet_operator_sync_waiting',
    help: 'Runtimes that wait to be greeted, because many connect at once.',
  },
  strangers: {
    name: 'adaptlet_operator_sync_strangers',
    help: 'Connections to the ports of runtimes and devices that have no stream of anybody known.',
  },
  strangersEnded: {
    name: 'adaptlet_operator_strangers_ended_total',
    help: 'Connections that were ended or not let in because too many of nobody known were there, by port: grpc, devices, webhook, http; on the first two also those that showed nobody for a minute.',
  },
  moved: {
    name: 'adaptlet_operator_sync_moved_total',
    help: 'Streams that this replica ended in order because it had clearly more than its share.',
  },
  hellos: {
    name: 'adaptlet_operator_sync_hellos_total',
    help: 'Streams of runtimes that began here, by result: accepted, refused; replaced: ended by a newer one.',
  },
  relays: { name: 'adaptlet_operator_relays', help: 'Other replicas that relay reports to this one.' },
  relayConnected: {
    name: 'adaptlet_operator_relay_connected',
    help: '1 while this replica relays reports to the leader; 0 on the leader itself.',
  },
  commits: { name: 'adaptlet_operator_sync_commits_total', help: 'Changes that were sent to runtimes.' },
  puts: { name: 'adaptlet_operator_sync_puts_total', help: 'Resources that were sent to runtimes.' },
  removes: { name: 'adaptlet_operator_sync_removes_total', help: 'Removals that were sent to runtimes.' },
  bytes: {
    name: 'adaptlet_operator_sync_sent_bytes_total',
    help: 'Bytes of the resources that were sent to runtimes.',
  },
  refusals: {
    name: 'adaptlet_operator_sync_refusals_total',
    help: 'Resources that runtimes did not take; the former versions went on.',
  },
  unanswered: {
    name: 'adaptlet_operator_sync_unanswered_total',
    help: 'Changes, and questions for what it holds, that a runtime did not answer in time; its stream was ended.',
  },
  listsWanted: {
    name: 'adaptlet_operator_sync_lists_wanted_total',
    help: 'Runtimes that connected with something else than a plan that the replica knows, and were asked for the list of it.',
  },
  likeParts: {
    name: 'adaptlet_operator_sync_like_parts_total',
    help: 'Parts of first reports of runtimes that were left out, as another runtime had said the same.',
  },
  removalsWaiting: {
    name: 'adaptlet_operator_removals_waiting',
    help: 'Removals that wait for their safety check.',
  },
  removalChecksFailing: {
    name: 'adaptlet_operator_removal_checks_failing',
    help: 'Failed checks of the CRDs in a row; nothing is removed meanwhile.',
  },
  planAge: {
    name: 'adaptlet_operator_plan_age_seconds',
    help: 'How long the runtimes of this replica have lacked something of their plan, 0 where they have all of it; quantile: 0.5, 0.99, and 1 for the oldest.',
  },
  compilations: {
    name: 'adaptlet_operator_plan_compilations_total',
    help: 'Times that the plans of all runtimes of one base model, or of those of one namespace, were brought to a newer state.',
  },
  planResources: {
    name: 'adaptlet_operator_plan_resources_total',
    help: 'Resources that were looked at for that: once for all runtimes, or once for each where labels or groups decide.',
  },
  planTold: {
    name: 'adaptlet_operator_plan_told_total',
    help: 'Runtimes for which that may have changed something.',
  },
  compileSeconds: {
    name: 'adaptlet_operator_plan_compile_seconds_total',
    help: 'Time that the compilation of plans took.',
  },
  queueDepth: { name: 'adaptlet_operator_queue_depth', help: 'Objects that wait for a controller.' },
  queueWait: {
    name: 'adaptlet_operator_queue_wait_seconds',
    help: 'How long the oldest of them has waited.',
  },
  queueRun: {
    name: 'adaptlet_operator_queue_run_seconds',
    help: 'How long the longest run that is under way has taken.',
  },
  queueFailing: {
    name: 'adaptlet_operator_queue_failing',
    help: 'Objects whose last run failed, by controller.',
  },
  certificateUntil: {
    name: 'adaptlet_operator_certificate_expiry_timestamp_seconds',
    help: 'When the certificate of this replica ends, in Unix time.',
  },
  deviceAuthority: {
    name: 'adaptlet_operator_device_authority',
    help: '1 where this replica has the authority of devices in memory; 0: no device can connect to it or enrol, the log says why. Absent where no devices are served.',
  },
  tokenReviews: {
    name: 'adaptlet_operator_token_reviews_total',
    help: 'Questions about tokens, by result: asked, refused, failed; stale: answered by the last answer.',
  },
  injections: {
    name: 'adaptlet_operator_injections_total',
    help: 'Pods that asked this replica for a sidecar, by result: Injected; Unchanged: they had it; Refused; Failed: created without.',
  },
  eventsDropped: {
    name: 'adaptlet_operator_events_dropped_total',
    help: 'Events that could not be written.',
  },
} as const;

export type OperatorGauges = {
  readonly version: string;
  readonly identity: string;
  readonly isLeader: boolean;
  readonly epoch: number;
  readonly objects: readonly { readonly kind: string; readonly count: number; readonly synced: boolean }[];
  readonly requests: readonly RequestCount[];
  readonly runtimes: readonly RuntimeState[];
  readonly sync: SyncServerGauges;
  readonly queues: readonly (QueueGauges & { readonly controller: string })[];
  readonly eventsDropped: number;
  /** Whether there is the authority of devices; undefined where none are served. */
  readonly hasDeviceAuthority: boolean | undefined;
  /** Connections that were ended as those of nobody known, by port, beside those of `sync`. */
  readonly strangersEnded: Readonly<Record<string, number>>;
  /** Undefined where no sidecars are injected. */
  readonly injections: InjectionCounts | undefined;
  /** Of rollouts and single objects; none where this replica does not lead. */
  readonly led: readonly MetricFamily[];
};

type Metric = { readonly name: string; readonly help: string };
const m = operatorMetrics;

const many = <T>(
  { name, help }: Metric,
  items: readonly T[],
  sample: (item: T) => MetricFamily['samples'][number],
): MetricFamily => ({
  name,
  help,
  type: name.endsWith('_total') ? 'counter' : 'gauge',
  samples: items.map(sample),
});

const one = (
  metric: Metric,
  value: number,
  labels: MetricFamily['samples'][number]['labels'] = {},
): MetricFamily => many(metric, [value], () => ({ labels, value }));

const quantiles = { '0.5': 'p50', '0.99': 'p99', '1': 'max' } as const;

const connections = (runtimes: Iterable<RuntimeState>) => {
  const counts = { connected: 0, disconnected: 0 };
  for (const { connected } of runtimes) counts[connected ? 'connected' : 'disconnected']++;
  return Object.entries(counts);
};

/** What a replica is doing, in Prometheus' text format. */
export const metricsText = (r: OperatorGauges): string =>
  exposition([
    one(m.info, 1, { version: r.version, replica: r.identity }),
    one(m.leader, Number(r.isLeader)),
    one(m.epoch, r.epoch),
    many(m.objects, r.objects, ({ kind, count }) => ({ labels: { kind }, value: count })),
    many(m.synced, r.objects, ({ kind, synced }) => ({ labels: { kind }, value: Number(synced) })),
    many(m.requests, r.requests, ({ method, code, count }) => ({ labels: { method, code }, value: count })),
    many(m.runtimes, connections(r.runtimes), ([state, value]) => ({ labels: { state }, value })),
    one(m.otherModels, othersIn(r.runtimes)),
    one(m.streams, r.sync.streams),
    one(m.waiting, r.sync.waiting),
    one(m.strangers, r.sync.strangers.size),
    many(
      m.strangersEnded,
      Object.entries({ ...r.sync.strangers.ended, ...r.strangersEnded }),
      ([port, value]) => ({
        labels: { port },
        value,
      }),
    ),
    one(m.moved, r.sync.moved),
    many(m.hellos, ['accepted', 'refused', 'replaced'] as const, (result) => ({
      labels: { result },
      value: r.sync[result],
    })),
    one(m.relays, r.sync.relays),
    one(m.relayConnected, r.sync.relay.connected),
    one(m.commits, r.sync.commits),
    one(m.puts, r.sync.puts),
    one(m.removes, r.sync.removes),
    one(m.bytes, r.sync.bytes),
    one(m.refusals, r.sync.refusals),
    one(m.unanswered, r.sync.unanswered),
    one(m.listsWanted, r.sync.listsWanted),
    one(m.likeParts, r.sync.likeParts),
    one(m.removalsWaiting, r.sync.gate.waiting),
    one(m.removalChecksFailing, r.sync.gate.failures),
    many(m.planAge, Object.entries(quantiles), ([quantile, age]) => ({
      labels: { quantile },
      value: r.sync.plans.ages[age] / 1000,
    })),
    one(m.planResources, r.sync.plans.resources),
    one(m.planTold, r.sync.plans.told),
    one(m.compilations, r.sync.plans.compilations),
    one(m.compileSeconds, r.sync.plans.milliseconds / 1000),
    many(m.queueDepth, r.queues, ({ controller, depth }) => ({ labels: { controller }, value: depth })),
    many(m.queueWait, r.queues, ({ controller, oldestWaitMs }) => ({
      labels: { controller },
      value: oldestWaitMs / 1000,
    })),
    many(m.queueRun, r.queues, ({ controller, maxRunMs }) => ({
      labels: { controller },
      value: maxRunMs / 1000,
    })),
    many(m.queueFailing, r.queues, ({ controller, failing }) => ({ labels: { controller }, value: failing })),
    one(m.certificateUntil, r.sync.authority.certificateUntil / 1000),
    many(m.deviceAuthority, r.hasDeviceAuthority === undefined ? [] : [r.hasDeviceAuthority], (has) => ({
      labels: {},
      value: Number(has),
    })),
    many(m.tokenReviews, Object.entries(r.sync.tokens), ([result, value]) => ({ labels: { result }, value })),
    one(m.eventsDropped, r.eventsDropped),
    many(m.injections, Object.entries(r.injections ?? {}), ([result, value]) => ({
      labels: { result },
      value,
    })),
    ...r.led,
  ]);
