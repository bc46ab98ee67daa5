import { randomUUID } from 'node:crypto';
import type { Logger } from 'pino';
import { logGrpc } from '../grpc/server.ts';
import type { KubeApi } from '../kube/client/api.ts';
import { connectKube } from '../kube/client/client.ts';
import { EventRecorder } from '../kube/events/events.ts';
import { createElection } from '../kube/lease/elector.ts';
import { createMeasure } from '../measurement/measure.ts';
import { rolloutGauges } from '../rollout/gauges.ts';
import { parseAddress } from '../settings/address.ts';
import { metricsAccess } from '../telemetry/metrics-access.ts';
import { openTraces } from '../telemetry/traces.ts';
import type { Clock } from '../time/clock.ts';
import { countRequests } from './counted-api.ts';
import { startDashboard } from './dashboard/start.ts';
import { DeviceAuthority } from './devices/authority.ts';
import { Devices } from './devices/devices.ts';
import { apiServerAddresses, openEgress } from './egress.ts';
import { FleetStore } from './fleet/store.ts';
import { startHttp } from './http.ts';
import { Authority } from './identity/authority.ts';
import { TokenReviews } from './identity/token-review.ts';
import { startInjection } from './injection/start.ts';
import { KeySecrets, secretsAt } from './keys/key-secrets.ts';
import { Leadership } from './leadership.ts';
import { addressAnnotation, leaseName, renewPart, retryPart } from './lease.ts';
import { metricCredentials } from './metric-credentials.ts';
import { metricsText } from './metrics.ts';
import { LabelList } from './nodes/label-list.ts';
import { followNodes, type Nodes } from './nodes/nodes.ts';
import { objectGauges } from './object-gauges.ts';
import { followObjects } from './objects/informers.ts';
import type { Collection, Objects } from './objects/objects.ts';
import { metricHostsOf, Policies } from './objects/policies.ts';
import { PullCredentials } from './pull-credentials.ts';
import { createRecorder, createStatusWriter } from './reconcile/status-writer.ts';
import { openSessionSecret } from './session-secret.ts';
import { gatewaySettings, type OperatorSettings } from './settings.ts';
import { createSyncServer, type SyncServerOptions } from './sync/server.ts';
import { operatorRegistry, signatureVerifier, tagResolver } from './tags.ts';
import { startTerm } from './term.ts';

export type OperatorParts = {
  readonly settings: OperatorSettings;
  readonly version: string;
  readonly clock: Clock;
  /** Uniform in [0, 1). */
  readonly random: () => number;
  readonly logger: Logger;
  /** Ends a start that waits for the API server. */
  readonly signal: AbortSignal;
};

export type RunningOperator = {
  /** host:port of gRPC. */
  readonly grpcAddress: string;
  readonly httpUrl: string;
  /** host:port of gRPC for devices; absent where there are none. */
  readonly deviceAddress?: string;
  /** host:port of the webhook; absent where none is served. */
  readonly webhookAddress?: string;
  /** Absent where no dashboard is served. */
  readonly dashboardUrl?: string;
  close(): Promise<void>;
};

/** Milliseconds that streams and requests may take to end when the operator stops. */
const graceMs = 5_000;

const notServing = { ok: false, reason: 'runtimes are not served yet, or not any more' };
const noNodesYet = { ok: false, reason: 'Node: was never listed; the log says why' };

/** The highest term that any status names: a Lease that was deleted must not begin again below it. */
const lastEpoch = ({ rollouts }: Objects): number => {
  let highest = 0;
  for (const { object } of rollouts.list()) highest = Math.max(highest, object?.status?.leaderEpoch ?? 0);
  return highest;
};

/** Those that can be read, in the order in which they were seen. */
const readable = <T>(collection: Collection<T>): T[] =>
  [...collection.list()].flatMap(({ object }) => object ?? []);

/** Of the identity of a candidate: the name of its replica, and of a life of it; '' of nobody. */
const podOf = (identity: string | undefined): string => identity?.replace(/_[^_]*$/, '') ?? '';

const withPort = (address: string, port: number): string => address.replace(/:\d+$/, `:${port}`);

/** Undefined where no devices are to be served. */
const openDevices = async (
  { settings, clock, random, logger, signal }: OperatorParts,
  api: KubeApi,
  objects: Objects,
  stack: AsyncDisposableStack,
): Promise<SyncServerOptions['devices']> => {
  const { namespace, identity, deviceListen, deviceAddress, deviceNames } = settings;
  if (deviceListen === undefined) return undefined;
  const names = [...(deviceAddress === undefined ? [] : [parseAddress(deviceAddress).host]), ...deviceNames];
  const authority = await DeviceAuthority.open(
    {
      api,
      namespace,
      replica: identity,
      names: names.length > 0 ? names : ['localhost', '127.0.0.1'],
      address: deviceAddress,
      clock,
      logger,
      random,
    },
    signal,
  );
  stack.defer(() => authority.close());
  const lifetimeMs = settings.deviceCertificateLifetime;
  const devices = new Devices({ api, objects, authority, namespace, lifetimeMs, clock, logger });
  return { address: deviceListen, authority, devices };
};

/**
 * Starts a replica: follows the API server, serves runtimes, and takes part in the election; whoever leads runs the
 * controllers. Resolves when runtimes are served. Until then it waits for the API server, and /readyz says why.
 * @throws CONFIG_INVALID, KUBE_UNAUTHORIZED without a cluster, the reason of the signal
 */
export const startOperator = async (parts: OperatorParts): Promise<RunningOperator> => {
  const { settings, version, clock, random, logger, signal } = parts;
  const { namespace, identity, serviceNames, leaseDuration } = settings;
  logGrpc(logger);
  await using stack = new AsyncDisposableStack();

  const traces = await openTraces(settings.otlpEndpoint, {
    service: 'adaptlet-operator',
    version,
    instance: identity,
  });
  stack.defer(async () => traces?.close());
  const { kubeconfig } = settings;
  const connection = connectKube({ ...(kubeconfig === undefined ? {} : { kubeconfig }), clock, logger });
  stack.defer(() => connection.close());
  const api = countRequests(connection);
  logger.info({ server: connection.server }, 'following the API server');
  const objects = followObjects({ api, clock, random, logger }, stack);
  // Undefined while the replica starts and while it ends.
  let metrics: (() => string) | undefined;
  let nodes: Nodes | undefined;
  const http = await startHttp(
    settings.httpListen,
    {
      lost: () => objects.lost(),
      ready: () => {
        const health = objects.health();
        if (!health.ok || metrics !== undefined) return health;
        return nodes === undefined ? noNodesYet : notServing;
      },
      metrics: () => metrics?.(),
      access: await metricsAccess(settings),
    },
    stack,
  );
  await objects.whenSynced(signal);
  const policies = new Policies(objects.policies, namespace);
  stack.defer(() => policies.close());
  const keys = new KeySecrets({
    open: secretsAt({ api, clock, random, logger: logger.child({ kind: 'Secret' }) }),
    namespaces: settings.credentialNamespaces,
    policies,
  });
  stack.defer(() => keys.close());
  const { nodeLabels: labels, nodeCordon } = settings;
  const seen = { labels, cordon: nodeCordon === 'follow' };
  const followed = await followNodes({ api, clock, random, logger, ...seen }, stack, signal);
  nodes = followed;

  const addresses = await apiServerAddresses(connection.server, process.env);
  const egress = openEgress(settings, addresses, { proxies: process.env });
  const names = serviceNames as [string, ...string[]];
  const authority = await Authority.open(
    { api, namespace, replica: identity, names, clock, logger, random },
    signal,
  );
  stack.defer(() => authority.close());
  const sessionSecret = await openSessionSecret({ api, namespace, clock, random, logger }, signal);
  const devices = await openDevices(parts, api, objects, stack);
  const { webhookListen, sidecarTemplate: template } = settings;
  const injecting = {
    api,
    authority,
    namespace,
    runtimes: objects.runtimes,
    policies,
    clock,
    logger,
    random,
    template,
  };
  const injection =
    webhookListen === undefined
      ? undefined
      : await startInjection({ ...injecting, address: webhookListen }, stack);
  const fleet = new FleetStore({ clock });
  const events = new EventRecorder({
    api,
    clock,
    random,
    logger,
    controller: 'adaptlet.io/operator',
    instance: identity,
  });
  stack.defer(() => events.close());
  const registry = operatorRegistry(settings, { clock, random, fetch: egress.registries });
  const { registryPasswords: passwords } = settings;
  const pulls = new PullCredentials({ api, clock, namespace, registry, passwords });
  const leadership = new Leadership({
    start: (term) =>
      startTerm({
        term,
        api,
        objects,
        policies,
        keys,
        nodes: followed,
        fleet,
        clock,
        random,
        logger,
        writer: createStatusWriter(api),
        recorder: createRecorder(events),
        resolve: tagResolver(registry, pulls),
        verify: signatureVerifier(registry, pulls),
        measure: createMeasure({
          fetch: egress.metrics,
          hosts: settings.metricHosts,
          hostsOf: (tenant) => metricHostsOf(policies.of(tenant)),
          credentials: metricCredentials({ api, clock, namespace }),
        }),
        tracer: traces?.tracer,
        gateway: gatewaySettings(settings),
      }),
    clock,
  });
  const sync = createSyncServer({
    api,
    objects,
    policies,
    keys,
    sessionSecret,
    nodes: followed,
    fleet,
    authority,
    tokens: new TokenReviews({ api, clock, logger }),
    nodeAccounts: settings.runtimeAccounts,
    runtimeNames: settings.runtimeNames,
    credential: (question) => pulls.forNode(question),
    // What runtimes may write themselves says nothing about where they are.
    siteLabel: new LabelList(labels).has(settings.siteLabel) ? settings.siteLabel : '',
    replica: identity,
    serverName: names[0],
    address: settings.listen,
    devices,
    leader: leadership.holder,
    isLeader: () => leadership.isLeader,
    onLeader: leadership.onChange,
    clock,
    logger,
    random,
  });
  stack.defer(() => sync.close(graceMs));
  await sync.start();

  const election = createElection({
    api,
    namespace,
    name: leaseName,
    // Two lives of one pod are two candidates.
    identity: `${identity}_${randomUUID()}`,
    address: settings.address ?? sync.address,
    addressAnnotation,
    leaseMs: leaseDuration,
    renewEveryMs: leaseDuration * renewPart,
    retryEveryMs: leaseDuration * retryPart,
    lastEpoch: () => lastEpoch(objects),
    clock,
    random,
    logger,
  });
  leadership.join(election);
  stack.defer(() => leadership.close());

  const { dashboardListen } = settings;
  const shown = { version, replica: identity, objects, fleet, planAges: () => sync.planAges() };
  const dashboard =
    dashboardListen === undefined
      ? undefined
      : await startDashboard(
          {
            ...shown,
            address: dashboardListen,
            leaderElsewhere: () => (leadership.isLeader ? undefined : podOf(leadership.holder()?.identity)),
            api,
            clock,
            logger,
          },
          stack,
        );

  metrics = () =>
    metricsText({
      version,
      identity,
      isLeader: leadership.isLeader,
      epoch: leadership.epoch,
      objects: objects.sizes(),
      requests: api.counts(),
      runtimes: [...fleet.all()],
      sync: sync.gauges(),
      hasDeviceAuthority: devices?.authority.isHeld,
      strangersEnded: { http: http.ended(), ...(injection && { webhook: injection.ended() }) },
      queues: leadership.gauges(),
      eventsDropped: events.dropped,
      injections: injection?.counts(),
      led: leadership.isLeader
        ? [
            ...rolloutGauges(readable(objects.rollouts)),
            ...leadership.eventCounts(),
            ...objectGauges(readable(objects.runtimes), readable(objects.adapters)),
          ]
        : [],
    });
  stack.defer(() => {
    metrics = undefined;
  });
  const running = stack.move();
  return {
    grpcAddress: sync.address,
    httpUrl: `http://${withPort(settings.httpListen, http.port)}`,
    ...(sync.deviceAddress === undefined ? {} : { deviceAddress: sync.deviceAddress }),
    ...(dashboard && { dashboardUrl: `http://${withPort(dashboardListen ?? '', dashboard)}` }),
    ...(injection && { webhookAddress: withPort(webhookListen ?? '', injection.port) }),
    close: () => running.disposeAsync(),
  };
};
