import { mkdir, readFile, rename } from 'node:fs/promises';
import { join } from 'node:path';
import type { Digest } from '../api/names.ts';
import { syncFolder } from '../disk/durable.ts';
import { AdaptletError } from '../errors/adaptlet-error.ts';
import { unlessAborted } from '../time/unless-aborted.ts';
import { buildFolder } from './artifact-folder.ts';
import { type Apart, BlobPool, type WriteBlob } from './blob-pool.ts';
import { digestOf, hexOf } from './digest.ts';
import { DiskBudget } from './disk-budget.ts';
import type { DiskThread } from './disk-thread.ts';
import { type Gathered, gatherBlobs } from './gathered.ts';
import { KeyedMutex } from './keyed-mutex.ts';
import { layersOf } from './layers.ts';
import {
  type ArtifactLimits,
  blobsOf,
  type Descriptor,
  defaultLimits,
  type Manifest,
  parseManifest,
} from './manifest.ts';
import { type ScratchFile, scratchFile } from './scratch-file.ts';
import {
  asStoreError,
  manifestFile,
  namesIn,
  removeAll,
  type StorePaths,
  sizeOf,
  storePaths,
} from './store-files.ts';
import { lockFolder } from './store-lock.ts';
import { type Damage, type Scan, type StoredAdapter, scanStore } from './store-scan.ts';
import { clearTmp, findUnfinished, nothingUnfinished, type Unfinished } from './unfinished.ts';

export type StoreOptions = {
  readonly root: string;
  readonly budgetBytes: number;
  readonly disk: DiskThread;
  readonly limits?: ArtifactLimits;
  /** What was on its way when the last owner ended is kept, and the next `add` goes on from there. Default: dropped. */
  readonly keepsUnfinished?: boolean;
};

/** Who shares a store with others says here what counts as its own. */
export type Custody = {
  /** How a blob is brought that somebody else takes long for. */
  readonly apart: Apart;
  /** Room for what is missing is set aside. */
  readonly reserved: () => void;
  /** A blob was not here: it came through `write` of this caller, and is verified. */
  readonly brought: (blob: Descriptor) => void | Promise<void>;
  /** A blob was here; nothing is added when it throws. */
  readonly found: (blob: Descriptor) => Promise<void>;
  /** Called once all blobs are here, before the artifact is, and also when it is here already; nothing is added when it throws. */
  readonly admit: (digest: Digest) => Promise<void>;
};

const nothing = async (): Promise<void> => undefined;

type Parts = {
  readonly paths: StorePaths;
  readonly disk: DiskThread;
  readonly limits: ArtifactLimits;
  readonly lock: AsyncDisposable;
  readonly budget: DiskBudget;
  readonly scan: Scan;
  readonly unfinished: Unfinished;
};

/** Takes out what the scan found damaged, and what nobody needs. */
const clean = async (paths: StorePaths, scan: Scan, { blobs }: Unfinished): Promise<void> => {
  for (const { digest } of scan.damagedAdapters) await removeAll(paths.adapter(digest));
  for (const digest of scan.orphans) if (!blobs.has(digest)) await removeAll(paths.blob(digest));
};

const count = async (
  budget: DiskBudget,
  paths: StorePaths,
  scan: Scan,
  unfinished: Unfinished,
): Promise<void> => {
  for (const sizes of [scan.blobs, unfinished.blobs, unfinished.partials])
    for (const size of sizes.values()) budget.count(size);
  for (const { extraBytes } of scan.adapters.values()) budget.count(extraBytes);
  for (const name of await namesIn(paths.quarantine))
    budget.count((await sizeOf(join(paths.quarantine, name))) ?? 0);
};

/**
 * Artifacts on the disk, by digest. Layout: `blobs/sha256/ab/…`, `adapters/<hex>/{manifest.json,files/}`,
 * `quarantine/`, `tmp/`, `lock`.
 *
 * Guarantees: an artifact is there complete or not at all, also after a kill, a power cut or a full disk; what it holds
 * had its digest when it was written; blobs stay within the budget.
 * Several callers may add, read whole or remove the same digest: they take turns, but for what they fetch for it.
 */
export class ContentStore {
  readonly limits: ArtifactLimits;
  /** What the scan at the start found damaged and took out. */
  readonly damage: readonly Damage[];
  readonly #paths: StorePaths;
  readonly #disk: DiskThread;
  readonly #budget: DiskBudget;
  readonly #lock: AsyncDisposable;
  readonly #adapters: Map<Digest, StoredAdapter>;
  readonly #pool: BlobPool;
  #takingOut: Promise<void> = Promise.resolve();
  #scratches = 0;
  readonly #mutex = new KeyedMutex<Digest>();

  /**
   * Takes the lock, drops what was on its way, and checks what is there by size.
   * @throws AdaptletError STORE_LOCKED
   */
  static async open(options: StoreOptions): Promise<ContentStore> {
    const { root, disk, limits = defaultLimits, keepsUnfinished = false } = options;
    const paths = storePaths(root);
    await mkdir(root, { recursive: true });
    const lock = await lockFolder(root);
    try {
      await clearTmp(paths, keepsUnfinished);
      for (const folder of [paths.blobs, paths.adapters, paths.quarantine, paths.tmp]) {
        await mkdir(folder, { recursive: true });
      }
      const scan = await scanStore(paths, limits);
      const unfinished = keepsUnfinished ? await findUnfinished(paths, scan) : nothingUnfinished;
      await clean(paths, scan, unfinished);
      const budget = new DiskBudget(options.budgetBytes);
      await count(budget, paths, scan, unfinished);
      const store = new ContentStore({ paths, disk, limits, lock, budget, scan, unfinished });
      for (const digest of scan.damagedBlobs) await store.#pool.setAside(digest);
      return store;
    } catch (error) {
      await lock[Symbol.asyncDispose]();
      throw error;
    }
  }

  private constructor({ paths, disk, limits, lock, budget, scan, unfinished }: Parts) {
    this.limits = limits;
    this.damage = scan.damagedAdapters;
    this.#paths = paths;
    this.#disk = disk;
    this.#budget = budget;
    this.#lock = lock;
    this.#adapters = new Map(scan.adapters);
    const isUsed = (blob: Digest): boolean => this.usersOf(blob).length > 0;
    const blobs = new Map([...scan.blobs, ...unfinished.blobs]);
    this.#pool = new BlobPool({ paths, disk, budget, blobs, partials: unfinished.partials, isUsed });
  }

  get usage(): { readonly usedBytes: number; readonly budgetBytes: number } {
    return { usedBytes: this.#budget.used, budgetBytes: this.#budget.limit };
  }

  /** Bytes that may still come, beside what is on its way. */
  get freeBytes(): number {
    return this.#budget.free;
  }

  stored(digest: Digest): { readonly bytes: number } | undefined {
    return this.#adapters.get(digest);
  }

  list(): readonly Digest[] {
    return [...this.#adapters.keys()];
  }

  /**
   * Folder with an artifact's files under their own names.
   * @throws AdaptletError ARTIFACT_NOT_STORED
   */
  folder(digest: Digest): string {
    const adapter = this.#adapters.get(digest);
    if (adapter !== undefined) return adapter.folder;
    throw new AdaptletError('ARTIFACT_NOT_STORED', `${digest} is not in the store`);
  }

  /** The manifest of an artifact that is stored, as it came. */
  manifest(digest: Digest): Promise<Uint8Array> {
    return readFile(join(this.#paths.adapter(digest), manifestFile));
  }

  /** Bytes of these blobs that are here already, those of broken-off transfers included. */
  bytesHere(blobs: readonly Pick<Descriptor, 'digest'>[]): number {
    return this.#pool.bytesOf(blobs);
  }

  /** Blobs of a stored artifact, and where they lie; none when it is not here. */
  blobs(digest: Digest): readonly (Descriptor & { readonly path: string })[] {
    const adapter = this.#adapters.get(digest);
    if (adapter === undefined) return [];
    return blobsOf(adapter.manifest).map((blob) => ({ ...blob, path: this.#paths.blob(blob.digest) }));
  }

  /**
   * Room for a file of so many bytes that is needed for a moment; it goes when it is disposed.
   * @throws AdaptletError STORE_FULL
   */
  scratch(bytes: number, what: string): ScratchFile {
    this.#scratches += 1;
    return scratchFile(this.#paths.scratch(this.#scratches), this.#budget.reserve(bytes, what));
  }

  /** Drops transfers that broke off, blobs that no artifact needs, and what was set aside. */
  async clearLeftovers(): Promise<void> {
    await this.#pool.clearLeftovers();
  }

  /** Drops transfers that broke off, and blobs that no artifact needs, but for those that are kept. */
  async dropUnfinished(isKept: (blob: Digest) => boolean): Promise<void> {
    await this.#pool.dropUnfinished(isKept);
  }

  /**
   * Adds an artifact: reserves its bytes, has the missing blobs written, verifies each, and makes it visible in one
   * step. A blob that broke off stays as a partial file, and the next attempt goes on from there.
   * @throws AdaptletError STORE_FULL, ARTIFACT_CORRUPT, those of manifests, layers and archives, and what `custody` throws
   */
  async add(bytes: Uint8Array, write: WriteBlob, signal: AbortSignal, custody?: Custody): Promise<Digest> {
    const digest = digestOf(bytes);
    const isHere = async (): Promise<boolean> => {
      if (!this.#adapters.has(digest)) return false;
      await custody?.admit(digest);
      return true;
    };
    const inTurn = <T>(work: () => Promise<T>): Promise<T> => this.#mutex.runExclusive(digest, work, signal);
    if (this.#adapters.has(digest) && (await inTurn(isHere))) return digest;
    const manifest = parseManifest(bytes, this.limits, digest);
    layersOf(manifest, digest);
    const blobs = blobsOf(manifest);
    await this.#settled(signal);
    using _hold = this.#pool.hold(blobs);
    using _reservation = await this.#pool.reserve(blobs, digest);
    custody?.reserved();
    await this.#bring(blobs, write, signal, custody);
    return await inTurn(async () => {
      if (await isHere()) return digest;
      await custody?.admit(digest);
      try {
        await this.#build(digest, bytes, manifest, signal);
      } catch (error) {
        throw asStoreError(error, `storing ${digest}`);
      }
      return digest;
    });
  }

  /** Brings blobs that are packed anew, as {@link gatherBlobs}. */
  async gather(
    blobs: readonly Descriptor[],
    write: WriteBlob,
    signal: AbortSignal,
    custody?: Omit<Custody, 'admit'>,
  ): Promise<Gathered> {
    await this.#settled(signal);
    return await gatherBlobs(this.#pool, this.#paths, blobs, async () => {
      custody?.reserved();
      await this.#bring(blobs, write, signal, custody);
    });
  }

  async #bring(
    blobs: readonly Descriptor[],
    write: WriteBlob,
    signal: AbortSignal,
    custody: Omit<Custody, 'admit'> | undefined,
  ): Promise<void> {
    for (const blob of blobs) {
      if (await this.#pool.bring(blob, write, signal, custody?.apart)) await custody?.brought(blob);
      else await custody?.found(blob);
    }
  }

  async remove(digest: Digest): Promise<void> {
    await this.#mutex.runExclusive(digest, async () => {
      const adapter = this.#adapters.get(digest);
      if (adapter !== undefined) await this.#takeOut(digest, adapter);
    });
  }

  async #takeOut(digest: Digest, adapter: StoredAdapter): Promise<void> {
    await this.#forget(digest, adapter);
    for (const blob of blobsOf(adapter.manifest)) await this.#pool.release(blob.digest);
  }

  /**
   * Reads an artifact whole before it is used: its blobs must still have their digests, and files that are copies of
   * them (unpacked, or on a file system without links) are made anew from them.
   * @throws AdaptletError ARTIFACT_NOT_STORED, ARTIFACT_CORRUPT
   */
  async verify(digest: Digest, signal: AbortSignal): Promise<void> {
    await this.#mutex.runExclusive(digest, () => this.#verify(digest, signal), signal);
  }

  /**
   * Reads an artifact whole and changes nothing, so that it may be in use.
   * @throws AdaptletError ARTIFACT_NOT_STORED, ARTIFACT_CORRUPT
   */
  async check(digest: Digest, signal: AbortSignal): Promise<void> {
    await this.#check(digest, signal);
  }

  async #check(digest: Digest, signal: AbortSignal): Promise<StoredAdapter> {
    const adapter = this.#adapters.get(digest);
    if (adapter === undefined)
      throw new AdaptletError('ARTIFACT_NOT_STORED', `${digest} is not in the store`);
    for (const blob of blobsOf(adapter.manifest)) {
      if (await this.#pool.isSound(blob.digest, signal)) continue;
      throw new AdaptletError(
        'ARTIFACT_CORRUPT',
        `blob ${blob.digest} of ${digest} is damaged on this disk`,
        {
          advice: 'It is fetched again by itself; check the disk when this repeats.',
        },
      );
    }
    return adapter;
  }

  async #verify(digest: Digest, signal: AbortSignal): Promise<void> {
    const adapter = await this.#check(digest, signal);
    if (adapter.extraBytes === 0) return;
    const bytes = await this.manifest(digest);
    using _hold = this.#pool.hold(blobsOf(adapter.manifest));
    await this.#forget(digest, adapter);
    await this.#build(digest, bytes, adapter.manifest, signal);
  }

  /** Takes an artifact out, its damaged blobs aside; sound ones that nobody else needs are removed. */
  async quarantine(digest: Digest, signal: AbortSignal): Promise<void> {
    const adapter = this.#adapters.get(digest);
    if (adapter === undefined) return;
    await this.#alone(async () => {
      for (const blob of blobsOf(adapter.manifest)) {
        await this.#pool.audit(blob.digest, signal, async () => {
          await this.#lose(blob.digest);
        });
      }
    });
    // Not before the others may go on: who adds this one waits for them with its turn.
    await this.#mutex.runExclusive(digest, async () => {
      if (this.#adapters.get(digest) === adapter) await this.#takeOut(digest, adapter);
    });
  }

  /** Reads every blob; takes damaged ones aside and the artifacts that need them out. Resolves with those. */
  async scrub(signal: AbortSignal): Promise<readonly Damage[]> {
    const damage: Damage[] = [];
    for (const blob of this.#pool.digests()) {
      signal.throwIfAborted();
      if (this.usersOf(blob).length === 0) continue;
      await this.#alone(() =>
        this.#pool.audit(blob, signal, async () => {
          const lost = await this.#lose(blob);
          damage.push(...lost.map((digest) => ({ digest, reason: `its blob ${blob} is damaged` })));
        }),
      );
    }
    return damage;
  }

  /** What is just being taken out is out, whole, before anything is put together with it. */
  #settled(signal: AbortSignal): Promise<void> {
    return unlessAborted(this.#alone(nothing), signal);
  }

  /** One at a time takes damaged things out; `add` and the others wait for it. */
  #alone(work: () => Promise<void>): Promise<void> {
    const mine = this.#takingOut.then(work, work);
    this.#takingOut = mine;
    return mine;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#lock[Symbol.asyncDispose]();
  }

  async #build(digest: Digest, bytes: Uint8Array, manifest: Manifest, signal: AbortSignal): Promise<void> {
    const parts = { paths: this.#paths, disk: this.#disk, limits: this.limits, budget: this.#budget };
    this.#adapters.set(digest, await buildFolder(parts, { digest, bytes, manifest }, signal));
  }

  /** Stored artifacts that have a blob. */
  usersOf(blob: Digest): readonly Digest[] {
    return [...this.#adapters]
      .filter(([, a]) => blobsOf(a.manifest).some((b) => b.digest === blob))
      .map(([d]) => d);
  }

  /** Takes an artifact's folder away in one step; its blobs stay. */
  async #forget(digest: Digest, adapter: StoredAdapter): Promise<void> {
    this.#adapters.delete(digest);
    const removed = join(this.#paths.tmp, `${hexOf(digest)}.removed`);
    await removeAll(removed);
    await rename(this.#paths.adapter(digest), removed);
    await syncFolder(this.#paths.adapters);
    await removeAll(removed);
    this.#budget.count(-adapter.extraBytes);
  }

  /** Sets a damaged blob aside and takes out the artifacts that need it, whole: what lay beside it is not trusted. */
  async #lose(blob: Digest): Promise<readonly Digest[]> {
    const users = this.usersOf(blob);
    const beside: Digest[] = [];
    for (const digest of users) {
      const adapter = this.#adapters.get(digest);
      if (adapter === undefined) continue;
      await this.#forget(digest, adapter);
      beside.push(...blobsOf(adapter.manifest).map((b) => b.digest));
    }
    await this.#pool.setAside(blob);
    for (const other of beside) await this.#pool.release(other);
    return users;
  }
}
