import { generateKeyPairSync } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Digest, objectKey } from '../../api/names.ts';
import { type Artifacts, createArtifacts } from '../../artifact/artifacts.ts';
import type { DiskThread } from '../../artifact/disk-thread.ts';
import { FakeRegistry } from '../../artifact/fake-registry.ts';
import { Grants } from '../../artifact/grants.ts';
import { KeptBundles } from '../../artifact/kept-bundles.ts';
import { PeerBlobs, type PeerOutcome, type PeerTimes } from '../../artifact/peer-blobs.ts';
import { ownLogin } from '../../artifact/registry-http.ts';
import { BlobSenders } from '../../artifact/senders.ts';
import { ContentStore } from '../../artifact/store.ts';
import type { Peers, SyncResponse } from '../../gen/adaptlet/control/v1/control.ts';
import { FakeApi } from '../../kube/testing/fake-api.ts';
import { openAuthority } from '../../operator/identity/authority.fixture.ts';
import type { Authority } from '../../operator/identity/authority.ts';
import type { BoundRuntime } from '../../operator/identity/binding.ts';
import { FakeObjects } from '../../operator/plans/fake-objects.ts';
import type { Channel } from '../../operator/sync/channel.ts';
import { PeerAnswers } from '../../operator/sync/peer-answers.ts';
import { peerAnnotation, Sites } from '../../operator/sync/sites.ts';
import type { Plan } from '../../plan/resources.ts';
import { silentLog } from '../../telemetry/log.fixture.ts';
import { systemClock } from '../../time/clock.ts';
import { PeerHoldings } from './holdings.ts';
import { SitePeers } from './peers.ts';

const never = new AbortController().signal;
const label = 'topology.kubernetes.io/zone';
const namespace = 'adaptlet-system';

/** Short enough for tests, long enough for a busy machine. */
const times: Partial<PeerTimes> = { lookMs: 20_000, pauseMs: 10, longestPauseMs: 100 };

/** A runtime as far as it fetches: store, grants, sources, and what it is to its site. */
export type SiteNode = {
  readonly name: string;
  readonly store: ContentStore;
  readonly artifacts: Artifacts;
  readonly peers: SitePeers;
  readonly outcomes: PeerOutcome[];
  /** Fetches the artifact `latest` of a repository of `r.test` for a namespace. */
  fetch(repository: string, namespace?: string, signal?: AbortSignal): Promise<{ readonly digest: Digest }>;
  /** Answers nobody any more, and says nothing to anybody. */
  die(): Promise<void>;
};

export type NodeOptions = {
  readonly site?: string;
  readonly kind?: 'Node' | 'Pod';
  /** How it reaches the registry. Default: as all. */
  readonly fetch?: typeof fetch;
  /** Adapters that its plan has. Default: each that is asked for. */
  readonly plan?: readonly string[];
  readonly times?: Partial<PeerTimes>;
  /** Bytes that it sends in a second. Default: as many as it can. */
  readonly bytesPerSecond?: number;
};

/**
 * Runtimes of one operator, as far as blobs go: real stores, TLS and certificates. What they ask the operator comes to it without a
 * stream. The registry `r.test` counts what is read.
 */
export class FakeSite implements AsyncDisposable {
  readonly registry = new FakeRegistry();
  readonly objects = new FakeObjects();
  readonly nodes: SiteNode[] = [];
  readonly folder: string;
  /** What the operator answered. */
  readonly answers: Peers[] = [];
  /** Nobody can ask it. */
  isOperatorAway = false;
  readonly #disk: DiskThread;
  readonly #authority: Authority;
  readonly #sites: Sites;
  readonly #stack = new AsyncDisposableStack();

  private constructor(folder: string, disk: DiskThread, authority: Authority) {
    this.folder = folder;
    this.#disk = disk;
    this.#authority = authority;
    const namespaces = new Set([namespace]);
    this.#sites = new Sites({ runtimes: this.objects.runtimes, label, namespaces });
  }

  static async start(disk: DiskThread, count = 0, options: NodeOptions = {}): Promise<FakeSite> {
    const folder = await mkdtemp(join(tmpdir(), 'adaptlet-site-'));
    const parts = { api: new FakeApi(), clock: systemClock, logger: silentLog };
    const site = new FakeSite(folder, disk, await openAuthority('operator-a', parts));
    await writeFile(site.authorities, site.#authority.credentials().bundle);
    for (let i = 0; i < count; i++) await site.join(options);
    return site;
  }

  get authorities(): string {
    return join(this.folder, 'ca.crt');
  }

  /** One more runtime. */
  async join(options: NodeOptions = {}): Promise<SiteNode> {
    const name = `node-${this.nodes.length + 1}`;
    const { site = 'hall-1', fetch = this.registry.fetch } = options;
    const clock = systemClock;
    const listen = '127.0.0.1:0';
    const { bytesPerSecond: otherwise = Number.POSITIVE_INFINITY } = options;
    const bandwidth = { windows: [], otherwise, timeZone: 'UTC' };
    const self = `${namespace}/${name}`;
    const { authorities } = this;
    const common = { authorities, bandwidth, clock, log: silentLog };
    const peers = this.#stack.use(await SitePeers.listen({ listen, host: '127.0.0.1', self, ...common }));
    let isDead = false;
    const answers = this.#answersTo(name, options, (answer) => {
      if (!isDead) peers.questions.answered(answer);
    });
    peers.questions.through((question) => {
      if (this.isOperatorAway || isDead) return false;
      void answers.answer(question);
      return true;
    });
    const root = join(this.folder, name);
    const disk = this.#disk;
    const budgetBytes = 50_000_000;
    const store = this.#stack.use(
      await ContentStore.open({ root, budgetBytes, disk, keepsUnfinished: true }),
    );
    const grants = await Grants.open(root, store.list(), []);
    peers.holdings = new PeerHoldings({ store, grants, desk: peers.desk });
    const outcomes: PeerOutcome[] = [];
    const artifacts = createArtifacts({
      bundles: await KeptBundles.open(root, store.list()),
      store,
      disk,
      grants,
      senders: await BlobSenders.open(root, store, Date.now()),
      importRoots: [],
      registry: {
        fetch,
        clock,
        random: Math.random,
        attempts: 1,
        idleMs: 20_000,
        insecureHosts: [],
        credentials: () => Promise.resolve(undefined),
      },
      loginFor: (key) => loginOf(key.slice(0, key.indexOf('/'))),
      peers: new PeerBlobs({
        find: peers.find,
        desk: peers.desk,
        store,
        disk,
        clock,
        random: Math.random,
        onOutcome: (outcome) => {
          peers.tally.count(outcome);
          outcomes.push(outcome);
        },
        times: { ...times, ...options.times },
      }),
    });
    const labels = { [label]: site };
    this.objects.runtime(namespace, name, labels, { [peerAnnotation]: peers.address });
    peers.questions.connected();
    await peers.certified;
    const dying = new AbortController();
    const node: SiteNode = {
      name,
      store,
      artifacts,
      peers,
      outcomes,
      fetch: (repository, asks = 'team-a', signal = never) => {
        const wish = {
          key: objectKey(asks, nameOf(repository)),
          uid: `${asks}-${repository}`,
          source: sourceOf(repository),
        };
        return artifacts.fetch(wish, undefined, { signal: AbortSignal.any([signal, dying.signal]) });
      },
      die: async () => {
        isDead = true;
        dying.abort(new Error('the process is gone'));
        await peers[Symbol.asyncDispose]();
      },
    };
    this.nodes.push(node);
    return node;
  }

  #answersTo(name: string, { kind = 'Node', plan }: NodeOptions, told: (answer: Peers) => void): PeerAnswers {
    const runtime: BoundRuntime = {
      kind,
      namespace,
      name,
      key: objectKey(namespace, name),
      node: name,
      pod: `pod-${name}`,
      account: 'adaptlet-runtime',
      ownerUid: '',
    };
    const channel = {
      signal: never,
      end: () => undefined,
      write: async ({ message }: SyncResponse) => {
        if (message?.$case !== 'peers') return;
        this.answers.push(message.value);
        told(message.value);
      },
    } as unknown as Channel<unknown, SyncResponse>;
    const get = (key: string) => {
      const [, adapter = ''] = key.split(' ');
      if (plan?.includes(adapter) === false) return undefined;
      return {
        type: 'AdapterSpec',
        body: { source: sourceOf(adapter.slice(adapter.indexOf('/') + 1).replace('-', '/')) },
      };
    };
    return new PeerAnswers({
      channel,
      clock: systemClock,
      authority: this.#authority,
      sites: this.#sites,
      plan: () => ({ get }) as unknown as Plan,
      runtime,
      logger: silentLog,
    });
  }

  /** A certificate to ask with for a repository, as a runtime gets it. PEM. */
  async credentialOf(
    { peers }: SiteNode,
    repository: string,
  ): Promise<{ readonly certificate: string; readonly key: string }> {
    const pair = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const publicKey = pair.publicKey.export({ type: 'spki', format: 'der' });
    const { image } = sourceOf(repository).oci;
    const { certificate } = await peers.questions.ask(
      { key: `team-a/${nameOf(repository)}`, image, publicKey },
      never,
    );
    return { certificate, key: String(pair.privateKey.export({ type: 'pkcs8', format: 'pem' })) };
  }

  /** How often the blobs of each digest were asked of the registry. */
  blobReads(): ReadonlyMap<string, number> {
    const counts = new Map<string, number>();
    for (const { path } of this.registry.reads) {
      const [, digest] = /\/blobs\/(.+)$/.exec(path) ?? [];
      if (digest !== undefined) counts.set(digest, (counts.get(digest) ?? 0) + 1);
    }
    return counts;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack.disposeAsync();
    this.#sites.close();
    this.#authority.close();
    await rm(this.folder, { recursive: true, force: true });
  }
}

const sourceOf = (repository: string) => ({ oci: { image: `r.test/${repository}` } });

/** Of the Adapter that has a repository of two parts. */
const nameOf = (repository: string): string => repository.replace('/', '-');

const loginOf = (asks: string) => ({
  ...ownLogin(() => Promise.resolve({ username: asks, password: 'word' })),
  name: asks,
});
