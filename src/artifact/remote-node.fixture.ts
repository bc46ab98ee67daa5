import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Digest, namespaceOf, objectKey } from '../api/names.ts';
import type { Source } from '../api/source.ts';
import { systemClock } from '../time/clock.ts';
import { type Artifacts, createArtifacts } from './artifacts.ts';
import type { DiskThread } from './disk-thread.ts';
import { FakeWeb } from './fake-web.ts';
import { Grants } from './grants.ts';
import { KeptBundles } from './kept-bundles.ts';
import { BlobSenders } from './senders.ts';
import { ContentStore } from './store.ts';
import type { Wish } from './wish.ts';

const never = new AbortController().signal;

/** Nobody waits for a try that follows another. */
const hasty = {
  ...systemClock,
  after: (ms: number, fn: () => void) => systemClock.after(ms > 1000 ? ms : 0, fn),
};

export const wishOf = (source: Source, namespace = 'team'): Wish => ({
  key: objectKey(namespace, 'adapter'),
  uid: namespace,
  source,
});

/** The disk of a node, before web servers and a hub. Whoever is not `guest` has the credentials that sources name. */
export class RemoteNode implements AsyncDisposable {
  readonly web = new FakeWeb();
  store!: ContentStore;
  artifacts!: Artifacts;
  readonly root: string;
  readonly #disk: DiskThread;
  readonly #budgetBytes: number;

  private constructor(root: string, disk: DiskThread, budgetBytes: number) {
    this.root = root;
    this.#disk = disk;
    this.#budgetBytes = budgetBytes;
  }

  static async start(disk: DiskThread, budgetBytes = 50_000_000): Promise<RemoteNode> {
    const node = new RemoteNode(await mkdtemp(join(tmpdir(), 'adaptlet-remote-')), disk, budgetBytes);
    await node.#open();
    return node;
  }

  async #open(): Promise<void> {
    const root = join(this.root, 'store');
    const disk = this.#disk;
    const budgetBytes = this.#budgetBytes;
    this.store = await ContentStore.open({ root, budgetBytes, disk, keepsUnfinished: true });
    this.artifacts = createArtifacts({
      store: this.store,
      disk,
      grants: await Grants.open(root, this.store.list(), []),
      bundles: await KeptBundles.open(root, this.store.list()),
      senders: await BlobSenders.open(root, this.store, Date.now()),
      importRoots: [],
      hubEndpoint: 'https://hub.test',
      registry: {
        fetch: this.web.fetch,
        clock: hasty,
        random: () => 0,
        attempts: 2,
        idleMs: 5000,
        insecureHosts: [],
        credentials: () => Promise.resolve(undefined),
      },
      credentialFor: (key, { http, huggingFace }) =>
        namespaceOf(key) === 'guest' || (http?.header ?? huggingFace?.tokenSecretKeyRef) === undefined
          ? undefined
          : {
              name: http?.header?.name ?? 'Authorization',
              value: async () => ({ header: 'Bearer secret', lifetimeMs: 1 }),
            },
    });
  }

  /** As another process would find it. */
  async restart(): Promise<void> {
    await this.store[Symbol.asyncDispose]();
    await this.#open();
  }

  async fetch(source: Source, expected?: Digest, namespace?: string): Promise<Digest> {
    return (await this.artifacts.fetch(wishOf(source, namespace), expected, { signal: never })).digest;
  }

  has(digest: Digest, source: Source, namespace?: string): boolean {
    return this.artifacts.stored(wishOf(source, namespace), digest) !== undefined;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.store[Symbol.asyncDispose]();
    await rm(this.root, { recursive: true, force: true });
  }
}
