import { join } from 'node:path';
import type { Digest } from '../api/names.ts';
import { AdaptletError, errorCodeOf } from '../errors/adaptlet-error.ts';
import { errnoOf } from '../errors/errno.ts';
import { unlessAborted } from '../time/unless-aborted.ts';
import { buildFolder } from './artifact-folder.ts';
import { auditEach, checkWhole } from './audit.ts';
import { BlobPool, type WriteBlob } from './blob-pool.ts';
import type { Caution } from './caution.ts';
import { digestOf, hexOf } from './digest.ts';
import type { DiskBudget } from './disk-budget.ts';
import type { DiskThread } from './disk-thread.ts';
import { type Gathered, gatherBlobs } from './gathered.ts';
import { KeyedMutex } from './keyed-mutex.ts';
import { layersOf } from './layers.ts';
import { type ArtifactLimits, blobsOf, type Descriptor, type Manifest, parseManifest } from './manifest.ts';
import { type ScratchFile, scratchFile } from './scratch-file.ts';
import { asStoreError, manifestFile, type StorePaths } from './store-files.ts';
import { type Opened, openStore } from './store-open.ts';
import type { Custody, ScrubOptions, StoreOptions } from './store-options.ts';
import type { Damage, StoredAdapter } from './store-scan.ts';
import { StoredAdapters } from './stored-adapters.ts';

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
  /** What is tidied up at a start, or not. */
  readonly caution: Caution;
  /** Of all that lies here; who keeps more for its artifacts counts it here as well. */
  readonly budget: DiskBudget;
  readonly #paths: StorePaths;
  readonly #disk: DiskThread;
  readonly #lock: AsyncDisposable;
  readonly #adapters: StoredAdapters;
  readonly #pool: BlobPool;
  #lostCount = 0;
  /** Of damaged artifacts that the start could not clear away. */
  readonly #leftBytes: Map<Digest, number>;
  #takingOut: Promise<void> = Promise.resolve();
  #scratches = 0;
  readonly #mutex = new KeyedMutex<Digest>();

  /**
   * Takes the lock, drops what was on its way, and checks what is there by size.
   * @throws AdaptletError STORE_LOCKED
   */
  static open(options: StoreOptions): Promise<ContentStore> {
    return openStore(options, async (opened) => {
      const store = new ContentStore(opened);
      const { damagedBlobs } = opened.scan;
      if (damagedBlobs.size > 0)
        await opened.caution.run('damaged blobs', async () => {
          for (const digest of damagedBlobs.keys()) await store.#pool.setAside(digest);
        });
      return store;
    });
  }

  private constructor(parts: Opened) {
    const { paths, disk, limits, lock, caution, budget, scan, unfinished } = parts;
    this.#leftBytes = new Map(parts.leftBytes);
    this.limits = limits;
    this.damage = scan.damagedAdapters;
    this.caution = caution;
    this.#paths = paths;
    this.#disk = disk;
    this.budget = budget;
    this.#lock = lock;
    this.#adapters = new StoredAdapters(scan.adapters);
    const isUsed = (blob: Digest): boolean => this.#adapters.isUsed(blob);
    const blobs = new Map([...scan.blobs, ...scan.damagedBlobs, ...unfinished.blobs]);
    this.#pool = new BlobPool({ paths, disk, budget, blobs, partials: unfinished.partials, isUsed });
  }

  get usage(): { readonly usedBytes: number; readonly budgetBytes: number } {
    return { usedBytes: this.budget.used, budgetBytes: this.budget.limit };
  }

  /** Artifacts that were found damaged by this process, those at its start included. */
  get damaged(): number {
    return this.damage.length + this.#lostCount;
  }

  /** Bytes that may still come, beside what is on its way. */
  get freeBytes(): number {
    return this.budget.free;
  }

  stored(digest: Digest): { readonly bytes: number } | undefined {
    return this.#adapters.get(digest);
  }

  list(): readonly Digest[] {
    return this.#adapters.digests();
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
    const path = join(this.#paths.adapter(digest), manifestFile);
    return this.#paths.files.readFile('adapter.read-manifest', path);
  }

  /** Bytes of these blobs that are here already, those of broken-off transfers included. */
  bytesHere(blobs: readonly Pick<Descriptor, 'digest'>[]): number {
    return this.#pool.bytesOf(blobs);
  }

  /** Where a blob lies that is here, whole and verified. */
  blobFile(blob: Digest): { readonly path: string; readonly bytes: number } | undefined {
    return this.#pool.file(blob);
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
    return scratchFile(this.#paths, ++this.#scratches, this.budget.reserve(bytes, what));
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
      await this.#touching(`storing ${digest}`, () => this.#build(digest, bytes, manifest, signal));
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
    // Somebody may have tidied up the disk by hand.
    await this.#touching('bringing blobs', () => this.#paths.files.mkdir('add.mkdir-tmp', this.#paths.tmp));
    for (const blob of blobs) {
      if (await this.#pool.bring(blob, write, signal, custody?.apart)) await custody?.brought(blob);
      else await custody?.found(blob);
    }
  }

  /** Errors of the disk come as those of the catalogue. */
  async #touching(what: string, work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      throw asStoreError(error, what);
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
    await checkWhole({ paths: this.#paths, pool: this.#pool }, { digest, adapter }, signal);
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
    const troubles: unknown[] = [];
    await this.#alone(async () => {
      for (const blob of blobsOf(adapter.manifest)) {
        await this.#pool.audit(blob.digest, signal, async () => {
          await this.#lose(blob.digest, troubles);
        });
      }
    });
    // Not before the others may go on: who adds this one waits for them with its turn.
    await this.#mutex.runExclusive(digest, async () => {
      if (this.#adapters.get(digest) === adapter) await this.#takeOut(digest, adapter);
    });
    if (troubles.length > 0) throw asStoreError(troubles[0], `setting ${digest} aside`);
  }

  /**
   * Reads every blob that an artifact needs; takes damaged ones aside and the artifacts that need them out. Resolves with those; what
   * goes wrong with one blob holds up none of the others, and is thrown at the end.
   */
  async scrub(signal: AbortSignal, { reader, onDamage }: ScrubOptions = {}): Promise<readonly Damage[]> {
    const found: Damage[] = [];
    const audit = async (blob: Digest, troubles: unknown[]): Promise<void> => {
      if (!this.#adapters.isUsed(blob)) return;
      if (reader !== undefined && (await this.#pool.isSound(blob, signal, reader))) return;
      await this.#alone(() =>
        this.#pool.audit(blob, signal, async () => {
          for (const digest of await this.#lose(blob, troubles)) {
            const damage = { digest, reason: `its blob ${blob} is damaged` };
            found.push(damage);
            onDamage?.(damage);
          }
        }),
      );
    };
    try {
      await auditEach(this.#pool.digests(), audit, signal);
    } finally {
      await this.caution.settle();
    }
    return found;
  }

  /** What is just being taken out is out, whole, before anything is put together with it. */
  #settled(signal: AbortSignal): Promise<void> {
    const settled = this.#alone(() => Promise.resolve());
    return unlessAborted(settled, signal);
  }

  /** One at a time takes damaged things out; `add` and the others wait for it. */
  #alone(work: () => Promise<void>): Promise<void> {
    this.#takingOut = this.#takingOut.then(work, work);
    return this.#takingOut;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.caution.settle().catch(() => undefined);
    await this.#lock[Symbol.asyncDispose]();
  }

  async #build(digest: Digest, bytes: Uint8Array, manifest: Manifest, signal: AbortSignal): Promise<void> {
    const parts = { paths: this.#paths, disk: this.#disk, limits: this.limits, budget: this.budget };
    const build = (): Promise<StoredAdapter> => buildFolder(parts, { digest, bytes, manifest }, signal);
    const built = build().catch(async (error: unknown) => {
      const free = this.freeBytes;
      // How much archives unpack to is not known before.
      if (errorCodeOf(error) === 'STORE_FULL') await this.#pool.clearLeftovers();
      if (this.freeBytes <= free) throw error;
      return await build();
    });
    this.#adapters.set(digest, await built);
    // It was written over.
    this.budget.count(-(this.#leftBytes.get(digest) ?? 0));
    this.#leftBytes.delete(digest);
  }

  /** Stored artifacts that have a blob. */
  usersOf(blob: Digest): readonly Digest[] {
    return this.#adapters.usersOf(blob);
  }

  /** Takes an artifact's folder away in one step; its blobs stay. */
  async #forget(digest: Digest, adapter: StoredAdapter): Promise<void> {
    const { files, tmp, adapters } = this.#paths;
    const removed = join(tmp, `${hexOf(digest)}.removed`);
    try {
      await files.remove('forget.clear', removed);
      await files.mkdir('forget.mkdir', tmp);
      await files.rename('forget.rename', this.#paths.adapter(digest), removed);
    } catch (error) {
      // Somebody has removed it by hand, with all the others or alone. What cannot be taken away is still there.
      if (errnoOf(error) !== 'ENOENT') throw error;
    }
    this.#adapters.delete(digest);
    this.budget.count(-adapter.extraBytes);
    await files.mkdir('forget.mkdir-adapters', adapters);
    await files.sync('forget.fsync', adapters);
    await files.remove('forget.remove', removed);
  }

  /**
   * Sets a damaged blob aside and takes out the artifacts that need it, whole: what lay beside it is not trusted. From then on nothing
   * is put together with it, whatever the disk does; what that did is in `troubles`.
   */
  async #lose(blob: Digest, troubles: unknown[]): Promise<readonly Digest[]> {
    const users = this.usersOf(blob);
    const tried = async (work: () => Promise<void>): Promise<void> => {
      try {
        await work();
      } catch (error) {
        troubles.push(error);
      }
    };
    await tried(() => this.#pool.setAside(blob));
    const beside: Digest[] = [];
    for (const digest of users) {
      const adapter = this.#adapters.get(digest);
      if (adapter === undefined) continue;
      await tried(() => this.#forget(digest, adapter));
      // What cannot be taken away is written over when it comes again.
      if (this.#adapters.get(digest) === adapter) this.#adapters.delete(digest);
      beside.push(...blobsOf(adapter.manifest).map((b) => b.digest));
    }
    for (const other of beside) await tried(() => this.#pool.release(other));
    this.#lostCount += users.length;
    return users;
  }
}
