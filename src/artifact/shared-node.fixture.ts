import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Digest, namespaceOf, objectKey } from '../api/names.ts';
import { type Artifacts, createArtifacts } from './artifacts.ts';
import type { DeltaOutcome } from './deltas.ts';
import type { DiskThread } from './disk-thread.ts';
import { FakeRegistry } from './fake-registry.ts';
import { type Former, Grants } from './grants.ts';
import { KeptBundles } from './kept-bundles.ts';
import { ownLogin } from './registry-http.ts';
import { registryOptions } from './registry-options.fixture.ts';
import { BlobSenders } from './senders.ts';
import { ContentStore } from './store.ts';
import type { Wish } from './wish.ts';

const never = new AbortController().signal;

type Opening = { readonly former?: readonly Former[]; readonly importRoots?: readonly string[] };

/** The disk of a node that namespaces share, and the registry `r.test`, which knows each namespace by its name as a user. */
export class SharedNode implements AsyncDisposable {
  readonly registry = new FakeRegistry();
  readonly root: string;
  readonly imports: string;
  store!: ContentStore;
  grants!: Grants;
  artifacts!: Artifacts;
  /** What became of files that might have come as deltas. */
  readonly outcomes: DeltaOutcome[] = [];
  /** Milliseconds that a look for a delta may take; undefined: none is looked for. For the next start. */
  lookupMs: number | undefined = 5000;
  /** Milliseconds without progress of a delta, also for the next start. */
  stallMs = 30_000;
  readonly #disk: DiskThread;
  readonly #budgetBytes: number;

  private constructor(root: string, disk: DiskThread, budgetBytes: number) {
    this.root = root;
    this.#budgetBytes = budgetBytes;
    this.imports = join(root, 'imports');
    this.#disk = disk;
  }

  static async start(disk: DiskThread, budgetBytes = 10_000_000): Promise<SharedNode> {
    const node = new SharedNode(await mkdtemp(join(tmpdir(), 'adaptlet-grants-')), disk, budgetBytes);
    await node.#open({});
    return node;
  }

  async #open({ former = [], importRoots = [this.imports] }: Opening): Promise<void> {
    const root = join(this.root, 'store');
    this.store = await ContentStore.open({
      root,
      budgetBytes: this.#budgetBytes,
      disk: this.#disk,
      keepsUnfinished: true,
    });
    this.grants = await Grants.open(root, this.store.list(), former);
    this.artifacts = createArtifacts({
      bundles: await KeptBundles.open(root, this.store.list()),
      store: this.store,
      disk: this.#disk,
      grants: this.grants,
      senders: await BlobSenders.open(root, this.store, Date.now()),
      importRoots,
      patienceMs: 20,
      deltas:
        this.lookupMs === undefined
          ? undefined
          : {
              lookupMs: this.lookupMs,
              stallMs: this.stallMs,
              onOutcome: (outcome) => void this.outcomes.push(outcome),
            },
      registry: {
        fetch: this.registry.fetch,
        ...registryOptions,
      },
      loginFor: (key) => loginOf(namespaceOf(key)),
    });
  }

  /** As another process would find it. */
  async restart(opening: Opening = {}): Promise<void> {
    await this.store[Symbol.asyncDispose]();
    await this.#open(opening);
  }

  fetch(namespace: string, repository: string, digest?: Digest): Promise<{ readonly digest: Digest }> {
    return this.artifacts.fetch(wishOf(namespace, repository), digest, { signal: never });
  }

  has(namespace: string, repository: string, digest: Digest): boolean {
    return this.artifacts.stored(wishOf(namespace, repository), digest) !== undefined;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.store[Symbol.asyncDispose]();
    await rm(this.root, { recursive: true, force: true });
  }
}

const loginOf = (namespace: string) => ({
  ...ownLogin(() => Promise.resolve({ username: namespace, password: 'word' })),
  name: namespace,
});

/** What an Adapter of a namespace asks of a repository. */
export const wishOf = (namespace: string, repository: string): Wish => ({
  key: objectKey(namespace, repository.replaceAll('/', '-')),
  uid: `uid-${namespace}-${repository}`,
  source: { oci: { image: `r.test/${repository}` } },
});
