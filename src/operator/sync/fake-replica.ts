import type { KubeMetadata } from '../../kube/client/object.ts';
import { FakeApi } from '../../kube/testing/fake-api.ts';
import type { Log } from '../../telemetry/log.ts';
import type { FakeClock } from '../../time/fake-clock.ts';
import { DeviceAuthority } from '../devices/authority.ts';
import { Devices } from '../devices/devices.ts';
import type { Leader } from '../fleet/relay-client.ts';
import { FleetStore } from '../fleet/store.ts';
import { Authority } from '../identity/authority.ts';
import { TokenReviews } from '../identity/token-review.ts';
import { Policies } from '../objects/policies.ts';
import { FakeObjects } from '../plans/fake-objects.ts';
import { FakeNodes } from '../testing/fake-nodes.ts';
import type { CredentialFor } from './pull-answers.ts';
import { createSyncServer, type SyncServer } from './server.ts';

const definition = { metadata: {}, status: { conditions: [{ type: 'Established', status: 'True' }] } };

/** The API server of a test: reviews tokens, has the CRDs, and shows AdapterRuntimes to the replicas that watch. */
export class TestApi extends FakeApi {
  readonly watchers: FakeObjects[] = [];
  /** Addresses of Nodes, of which the uid is that of the token. */
  readonly addresses = new Map<string, readonly string[]>();
  /** By Node, where it is not that of the tokens; empty: the Node is not there. */
  readonly uids = new Map<string, string>();
  /** Thrown by every request while it is set. */
  down: Error | undefined;

  constructor() {
    super();
    this.put('/api/v1/namespaces/kube-system', { metadata: { name: 'kube-system', uid: 'cluster-1' } });
    this.before = ({ path, method, body, query }) => {
      if (this.down !== undefined) throw this.down;
      if (path.endsWith('/tokenreviews'))
        return { status: review((body as { spec: { token: string } }).spec.token) };
      if (path === '/api/v1/nodes') return this.#nodes(query?.['fieldSelector'] ?? '');
      if (path.includes('/customresourcedefinitions/')) return definition;
      if (method === 'PATCH' && path.includes('/adapterruntimes/')) this.#show(body);
      return undefined;
    };
  }

  #nodes(selector: string): object {
    const name = selector.replace('metadata.name=', '');
    const addresses = (this.addresses.get(name) ?? []).map((address) => ({ type: 'InternalIP', address }));
    const uid = this.uids.get(name) ?? `uid-of-${name}`;
    return { items: uid === '' ? [] : [{ metadata: { name, uid }, status: { addresses } }] };
  }

  #show(body: unknown): void {
    const { metadata } = body as { metadata: Applied };
    const { name, namespace, labels, annotations, ownerReferences } = metadata;
    // A watch tells of it after the write was answered.
    setImmediate(() => {
      for (const objects of this.watchers) {
        objects.runtime(namespace, name, { ...labels }, { ...annotations }, ownerReferences ?? []);
      }
    });
  }
}

type Applied = Required<Pick<KubeMetadata, 'name' | 'namespace'>> &
  Pick<KubeMetadata, 'labels' | 'annotations' | 'ownerReferences'>;

const user = (account: string, extra: Record<string, string>) => ({
  authenticated: true,
  audiences: ['adaptlet'],
  user: {
    username: `system:serviceaccount:${account}`,
    extra: Object.fromEntries(
      Object.entries(extra).map(([key, value]) => [`authentication.kubernetes.io/${key}`, [value]]),
    ),
  },
});

const review = (token: string): object => {
  const [kind, who = ''] = token.split('.')[0]?.split('-at-') ?? [];
  if (kind === 'node') {
    return user('adaptlet-system:adaptlet-runtime', {
      'pod-name': `pod-of-${who}`,
      'node-name': who,
      'node-uid': `uid-of-${who}`,
    });
  }
  if (kind === 'pod')
    return user('team-a:default', { 'pod-name': who, 'pod-uid': `uid-of-${who}`, 'node-name': 'n' });
  return { authenticated: false };
};

/** The token of a pod on that node, as `TestApi` reviews it. */
export const nodeToken = (node = 'node-1'): string => `node-at-${node}.${expiry}.x`;
export const podToken = (pod: string): string => `pod-at-${pod}.${expiry}.x`;
const expiry = Buffer.from(JSON.stringify({ exp: 4_000_000_000 })).toString('base64url');

export type Lease = { leader: Leader | undefined; listeners: Set<() => void> };

/** One replica with everything around it made by hand. */
export type TestReplica = {
  readonly name: string;
  readonly objects: FakeObjects;
  readonly nodes: FakeNodes;
  readonly fleet: FleetStore;
  readonly authority: Authority;
  readonly server: SyncServer;
  /** It serves devices, too, whose certificates last for a day. */
  readonly devices: { readonly authority: DeviceAuthority; readonly devices: Devices };
  /** What runtimes asked for their registries, and what they are answered. */
  readonly pulls: { asked: Parameters<CredentialFor>[0][]; answer: CredentialFor };
};

/** Two lives of one replica are two candidates. */
const candidate = (name: string): string => `${name}_1`;

const random = (): number => 0.5;

export const startReplica = async (
  name: string,
  {
    api,
    clock,
    lease,
    logger,
    ...more
  }: { api: TestApi; clock: FakeClock; lease: Lease; logger: Log; maxStrangers?: number },
): Promise<TestReplica> => {
  const objects = new FakeObjects();
  const nodes = new FakeNodes();
  api.watchers.push(objects);
  const fleet = new FleetStore({ clock });
  const authority = await Authority.open(
    {
      api,
      namespace: 'adaptlet-system',
      replica: name,
      names: ['localhost', '127.0.0.1'],
      clock,
      logger,
      random,
    },
    new AbortController().signal,
  );
  const base = { api, namespace: 'adaptlet-system', clock, logger };
  const deviceAuthority = await DeviceAuthority.open(
    { ...base, replica: name, names: ['localhost', '127.0.0.1'], address: undefined, random },
    new AbortController().signal,
  );
  const devices = {
    authority: deviceAuthority,
    devices: new Devices({ ...base, objects, authority: deviceAuthority, lifetimeMs: 86_400_000 }),
  };
  const pulls: TestReplica['pulls'] = { asked: [], answer: () => Promise.resolve(undefined) };
  const server = createSyncServer({
    ...more,
    api,
    objects,
    policies: new Policies(objects.policies),
    nodes,
    fleet,
    authority,
    clock,
    logger,
    random,
    tokens: new TokenReviews({ api, clock, logger }),
    nodeAccounts: ['adaptlet-system/adaptlet-runtime'],
    credential: (question) => {
      pulls.asked.push(question);
      return pulls.answer(question);
    },
    runtimeNames: ['llm.factory.example', '192.0.2.7'],
    siteLabel: 'topology.kubernetes.io/zone',
    replica: name,
    serverName: 'localhost',
    address: '127.0.0.1:0',
    devices: { address: '127.0.0.1:0', ...devices },
    leader: () => lease.leader,
    isLeader: () => lease.leader?.identity === candidate(name),
    onLeader: (listener) => {
      lease.listeners.add(listener);
      return () => void lease.listeners.delete(listener);
    },
  });
  await server.start();
  return { name, objects, nodes, fleet, authority, server, devices, pulls };
};

export const setLeader = (lease: Lease, leader: TestReplica | undefined): void => {
  lease.leader =
    leader === undefined ? undefined : { identity: candidate(leader.name), address: leader.server.address };
  for (const listener of lease.listeners) listener();
};
