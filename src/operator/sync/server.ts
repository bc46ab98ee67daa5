import type { Metadata, ServerDuplexStream } from '@grpc/grpc-js';
import { AdaptletError } from '../../errors/adaptlet-error.ts';
import {
  type ControlServer,
  ControlService,
  type SyncRequest,
  type SyncResponse,
} from '../../gen/adaptlet/control/v1/control.ts';
import { EnrolmentService } from '../../gen/adaptlet/enrolment/v1/enrolment.ts';
import { serviceErrorOf } from '../../grpc/service-error.ts';
import type { KubeApi } from '../../kube/client/api.ts';
import type { KubeObject } from '../../kube/client/object.ts';
import type { Log } from '../../telemetry/log.ts';
import type { Clock } from '../../time/clock.ts';
import type { DeviceAuthority } from '../devices/authority.ts';
import { boundRequests } from '../devices/bound-requests.ts';
import type { Devices } from '../devices/devices.ts';
import { enrolmentService } from '../devices/service.ts';
import { type Leader, RelayClient } from '../fleet/relay-client.ts';
import type { FleetStore } from '../fleet/store.ts';
import type { Authority } from '../identity/authority.ts';
import { bind } from '../identity/binding.ts';
import { channelCredentials, replicaOf, serverCredentials } from '../identity/credentials.ts';
import type { TokenReviews } from '../identity/token-review.ts';
import type { Nodes } from '../nodes/nodes.ts';
import type { Objects } from '../objects/objects.ts';
import type { Policies } from '../objects/policies.ts';
import { restraintOf } from '../objects/restraint.ts';
import { Plans, type PlansParts } from '../plans/plans.ts';
import { RemovalGate } from '../plans/removal-gate.ts';
import { Balance } from './balance.ts';
import { Connections } from './connections.ts';
import { noCounts, type SyncCounts } from './counts.ts';
import { Examples } from './examples.ts';
import { Port } from './port.ts';
import type { CredentialFor } from './pull-answers.ts';
import { RelayService } from './relay-service.ts';
import { servingNamesOf } from './serving-names-of.ts';
import { confirmAnnotation, type Identify, Session, type SessionParts } from './session.ts';
import { Sites } from './sites.ts';
import { Turns } from './turns.ts';

export type SyncServerOptions = {
  readonly api: KubeApi;
  readonly objects: Objects;
  readonly policies: Policies;
  /** Keys of callers out of Secrets; absent: none. */
  readonly keys?: PlansParts['keys'];
  /** What keys for tokens of sessions are made of. Absent: there are no tokens. */
  readonly sessionSecret?: PlansParts['sessionSecret'];
  readonly nodes: Nodes;
  readonly fleet: FleetStore;
  readonly authority: Authority;
  readonly tokens: TokenReviews;
  /** ServiceAccounts (`namespace/name`) whose pods may serve their node. */
  readonly nodeAccounts: readonly string[];
  readonly credential: CredentialFor;
  /** Names of an administrator in the certificates of the request ports of runtimes. Absent: none. */
  readonly runtimeNames?: readonly string[];
  /** Label of AdapterRuntimes whose value says which of them share a site. */
  readonly siteLabel: string;
  /** Name of this replica. */
  readonly replica: string;
  /** Name in the certificates of replicas: the first of the authority's. */
  readonly serverName: string;
  /** `host:port`, port 0 for any free one. */
  readonly address: string;
  /** Devices outside of the cluster, on a listener of their own; absent: there are none. */
  readonly devices?:
    | {
        readonly address: string;
        readonly authority: Pick<DeviceAuthority, 'credentials' | 'onChange' | 'isHeld'>;
        readonly devices: Devices;
      }
    | undefined;
  readonly leader: () => Leader | undefined;
  readonly isLeader: () => boolean;
  /** Calls the listener when `leader` or `isLeader` may say something else. The result ends it. */
  readonly onLeader: (listener: () => void) => () => void;
  readonly clock: Clock;
  readonly logger: Log;
  /** Uniform in [0, 1). */
  readonly random: () => number;
  readonly maxStreams?: number;
  /** Connections of nobody known, on each listener. Default: that of StrangerConnections. */
  readonly maxStrangers?: number;
};

/** Streams of runtimes that one replica takes. */
const defaultMaxStreams = 5_000;
/** When a replica goes, its streams end over this time, so that the others are not dialled by all at once. */
const spreadMs = 2_000;

/** Questions about tokens at a time: the API server checks them side by side. */
const reviewsAtOnce = 32;
/** Greetings at a time: they share one core, and a few keep it busy while others wait for the API server. */
const greetingsAtOnce = 16;
/**
 * Twice the patience is less than a runtime waits for a Welcome. More wait for one thing than come to an end within the patience:
 * others need not wait to be told so.
 */
const turns = { longestMs: 1_000, patienceMs: 6_000, maxWaiting: 1_000, retryAfterMs: 5_000 };

export type SyncServer = {
  /** `host:port` that it listens on; after `start`. */
  readonly address: string;
  /** The same of the listener for devices; undefined: there is none. */
  readonly deviceAddress: string | undefined;
  /** @throws CONFIG_INVALID when an address cannot be listened on */
  start(): Promise<void>;
  /** Takes no new stream, ends those that there are over two seconds, waits for at most `graceMs`. */
  close(graceMs: number): Promise<void>;
  gauges(): SyncServerGauges;
  /** For how many milliseconds each runtime has lacked something of its plan: of this replica, and of those that relay to it. */
  planAges(): ReturnType<Plans['ages']>;
};

export type SyncServerGauges = SyncCounts & {
  readonly streams: number;
  /** Streams that were given away to other replicas. */
  readonly moved: number;
  /** Streams whose greeting has not begun. */
  readonly waiting: number;
  /** Connections of nobody known, and those that were ended as such, by port. */
  readonly strangers: { readonly size: number; readonly ended: Readonly<Record<string, number>> };
  readonly relays: number;
  readonly plans: ReturnType<Plans['gauges']>;
  readonly gate: ReturnType<RemovalGate['gauges']>;
  readonly tokens: ReturnType<TokenReviews['gauges']>;
  readonly authority: ReturnType<Authority['gauges']>;
  readonly relay: ReturnType<RelayClient['gauges']>;
};

/** Serves runtimes on every replica, and the relays of the others on the leader. */
export const createSyncServer = (options: SyncServerOptions): SyncServer => {
  const {
    objects,
    policies,
    nodes,
    fleet,
    authority,
    tokens,
    clock,
    logger,
    random,
    maxStreams = defaultMaxStreams,
  } = options;
  const counts = noCounts();
  const { keys, sessionSecret } = options;
  const plans = new Plans({ objects, policies, keys, sessionSecret, clock });
  const gate = new RemovalGate(options);
  const nodeAccounts = new Set(options.nodeAccounts);
  const sites = new Sites({
    runtimes: objects.runtimes,
    label: options.siteLabel,
    namespaces: new Set(options.nodeAccounts.map((account) => account.slice(0, account.indexOf('/')))),
  });
  const reviews = new Turns({ ...turns, clock, atOnce: reviewsAtOnce });
  const parts: SessionParts = {
    api: options.api,
    objects,
    policies,
    nodes,
    fleet,
    plans,
    gate,
    counts,
    clock,
    logger,
    random,
    connections: new Connections(clock),
    greetings: new Turns({ ...turns, clock, atOnce: greetingsAtOnce }),
    examples: new Examples(clock),
    clusterUid: clusterUidOf(options.api),
    credential: options.credential,
    authority,
    sites,
    servingNames: servingNamesOf(options),
    replica: options.replica,
  };
  const sessions = new Set<Session>();
  const relayService = new RelayService({ fleet, isLeader: options.isLeader, clock, logger });
  let relayClient: RelayClient | undefined;
  const balance = new Balance({
    clock,
    random,
    streams: () => sessions,
    share: () => (options.isLeader() ? relayService.share : relayClient?.share),
  });
  const { devices, maxStrangers } = options;
  const port = new Port({ address: options.address, clock, maxStrangers });
  const devicePort =
    devices && new Port({ address: devices.address, clock, maxStrangers, interceptors: [boundRequests] });
  const ports = devicePort === undefined ? [port] : [port, devicePort];
  let closing = false;

  /** Why no stream is taken now. */
  const refusalNow = (): AdaptletError | undefined => {
    if (closing) return new AdaptletError('REPLICA_UNAVAILABLE', 'this replica is going');
    return sessions.size < maxStreams
      ? undefined
      : new AdaptletError('REPLICA_UNAVAILABLE', `this replica has ${sessions.size} streams already`);
  };
  const byToken =
    (metadata: Metadata): Identify =>
    async (signal) => {
      const token = bearerOf(metadata);
      // Who comes back waits for no strangers.
      const endTurn = tokens.isKnown(token)
        ? undefined
        : await reviews.take(signal, tokens.wasAccepted(token));
      const identity = await tokens.review(token).finally(endTurn);
      return (claim) => {
        const runtime = bind(claim, identity, nodeAccounts);
        if (devices?.devices.isDevice(runtime.key) !== true) return runtime;
        throw new AdaptletError(
          'PEER_IDENTITY',
          `${runtime.key} is the name of a device outside of the cluster`,
          {
            advice: 'Enrol the device under another name, or revoke it and delete its AdapterRuntime.',
          },
        );
      };
    };
  const serving =
    (
      { strangers }: Port,
      identifying: (call: ServerDuplexStream<SyncRequest, SyncResponse>) => Identify,
    ): ControlServer['sync'] =>
    (call) => {
      const refusal = refusalNow();
      if (refusal !== undefined) {
        call.on('error', () => undefined);
        call.emit('error', serviceErrorOf(refusal));
        return;
      }
      let isOver: (() => void) | undefined;
      const identify = identifying(call);
      const session = new Session(call, parts, async (signal) => {
        const bindTo = await identify(signal);
        isOver = strangers.knows(call.getPeer());
        return bindTo;
      });
      sessions.add(session);
      void session.run().finally(() => {
        sessions.delete(session);
        isOver?.();
      });
    };
  const relay: ControlServer['relay'] = (call) => {
    const isReplica = replicaOf(call.getAuthContext().sslPeerCertificate) !== undefined;
    const isOver = isReplica ? port.strangers.knows(call.getPeer()) : () => undefined;
    void relayService.run(call).finally(isOver);
  };
  port.server.addService(ControlService, {
    sync: serving(port, ({ metadata }) => byToken(metadata)),
    relay,
  });
  if (devices !== undefined && devicePort !== undefined) {
    devicePort.server.addService(ControlService, {
      sync: serving(
        devicePort,
        (call) => (signal) => devices.devices.identify(call.getAuthContext().sslPeerCertificate?.raw, signal),
      ),
      // No certificate of the authority for devices is a replica's.
      relay,
    });
    devicePort.server.addService(EnrolmentService, enrolmentService(devices.devices, logger));
  }

  const ends = [
    gate.onOpen(() => {
      for (const session of sessions) session.changed();
    }),
    objects.onProgress(() => {
      for (const session of sessions) session.progressed();
    }),
    objects.runtimes.onChange(({ type, key, object, before }) => {
      const session = parts.connections.get(key);
      if (!(session instanceof Session)) return;
      if (type === 'deleted') session.vanished();
      else session.deviceChanged();
      const confirmed = (read: typeof before): string | undefined =>
        read?.metadata.annotations?.[confirmAnnotation];
      const restraint = (read: typeof before) => read?.object && restraintOf(read.object);
      const isOther = confirmed(object) !== confirmed(before) || restraint(object) !== restraint(before);
      if (type === 'updated' && isOther) session.changed();
    }),
    nodes.onChange((node) => {
      for (const session of sessions) session.nodeChanged(node);
    }),
    policies.onChange((isBound) => {
      for (const session of sessions) session.policiesChanged(isBound);
    }),
    authority.onChange(() => {
      for (const session of sessions) session.authorityChanged();
    }),
    options.onLeader(() => relayService.leadershipChanged()),
  ];

  return {
    get address() {
      return port.address;
    },
    get deviceAddress() {
      return devicePort?.address;
    },
    start: async () => {
      await port.listen(serverCredentials(authority));
      relayClient = new RelayClient({
        ...options,
        planAges: () => plans.ages(),
        credentials: channelCredentials(authority),
      });
      logger.info({ port: port.port }, 'runtimes are served');
      if (devices === undefined || devicePort === undefined) return;
      await devicePort.listen(serverCredentials(devices.authority));
      // Else the authority says what keeps it, and when it is there.
      if (devices.authority.isHeld)
        logger.info({ port: devicePort.port }, 'devices outside of the cluster are served');
    },
    close: async (graceMs) => {
      closing = true;
      balance.close();
      await endSpread([...sessions], { clock, ms: Math.min(spreadMs, graceMs) });
      relayClient?.close();
      relayService.close();
      for (const end of ends) end();
      sites.close();
      await Promise.all(ports.map((one) => one.close(graceMs)));
      plans.close();
      gate.close();
    },
    planAges: () => [...plans.ages(), ...relayService.planAges()],
    gauges: () => ({
      ...counts,
      streams: sessions.size,
      moved: balance.moved,
      waiting: reviews.waiting + parts.greetings.waiting,
      strangers: {
        size: ports.reduce((sum, { strangers }) => sum + strangers.size, 0),
        ended: {
          grpc: port.strangers.ended,
          ...(devicePort && { devices: devicePort.strangers.ended }),
        },
      },
      relays: relayService.size,
      plans: plans.gauges(),
      gate: gate.gauges(),
      tokens: tokens.gauges(),
      authority: authority.gauges(),
      relay: relayClient?.gauges() ?? { connected: 0, failures: 0 },
    }),
  };
};

const bearerOf = (metadata: Metadata): string => {
  const [value] = metadata.get('authorization');
  return (typeof value === 'string' ? /^Bearer ([\w.~+/=-]+)$/i.exec(value)?.[1] : undefined) ?? '';
};

/** Ends streams evenly over `ms`. */
const endSpread = async (
  sessions: readonly Session[],
  { clock, ms }: { readonly clock: Clock; readonly ms: number },
): Promise<void> => {
  const ended = sessions.map(
    (session, index) =>
      new Promise<void>((resolve) => {
        clock.after((ms * index) / sessions.length, () => {
          session.end(new AdaptletError('REPLICA_UNAVAILABLE', 'this replica is going'));
          resolve();
        });
      }),
  );
  await Promise.all(ended);
};

/**
 * Reads the uid of the namespace kube-system, which names a cluster, once.
 * @throws those of the API server
 */
export const clusterUidOf = (api: KubeApi): (() => Promise<string>) => {
  let reading: Promise<string> | undefined;
  return () => {
    reading ??= api
      .request<KubeObject>({ method: 'GET', path: '/api/v1/namespaces/kube-system' })
      .then(({ metadata }) => metadata.uid)
      .catch((error: unknown) => {
        reading = undefined;
        throw error;
      });
    return reading;
  };
};
