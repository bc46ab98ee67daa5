import { mkdir, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Digest } from '../api/names.ts';
import { syncFolder } from '../disk/durable.ts';
import { AdaptletError } from '../errors/adaptlet-error.ts';
import { digestOf, hexOf } from './digest.ts';
import { DiskBudget, type Reservation } from './disk-budget.ts';
import type { DiskThread } from './disk-thread.ts';
import { layersOf } from './layers.ts';
import {
  type ArtifactLimits,
  blobsOf,
  type Descriptor,
  defaultLimits,
  type Manifest,
  parseManifest,
  totalBytes,
} from './manifest.ts';
import {
  asStoreError,
  filesFolder,
  linkOrCopy,
  manifestFile,
  namesIn,
  removeAll,
  type StorePaths,
  sizeOf,
  storePaths,
  syncFile,
} from './store-files.ts';
import { lockFolder } from './store-lock.ts';
import { type Damage, type StoredAdapter, scanStore } from './store-scan.ts';

export type StoreOptions = {
  readonly root: string;
  readonly budgetBytes: number;
  readonly disk: DiskThread;
  readonly limits?: ArtifactLimits;
};

/** Writes the rest of a blob to `path`, of which `have` bytes are there from an attempt that broke off. */
export type WriteBlob = (blob: Descriptor, path: string, have: number) => Promise<void>;

/** Damaged blobs that are kept for a look; the oldest goes first. */
const quarantineKeeps = 4;

/**
 * Artifacts on the disk, by digest. Layout: `blobs/sha256/ab/…`, `adapters/<hex>/{manifest.json,files/}`,
 * `quarantine/`, `tmp/`, `lock`.
 *
 * Guarantees: an artifact is there complete or not at all, also after a kill, a power cut or a full disk; what it holds
 * had its digest when it was written; the store takes no more than its budget.
 * Assumes that one caller at a time adds or removes the same digest.
 */
export class ContentStore {
  readonly limits: ArtifactLimits;
  /** What the start-up scan found damaged and took out. */
  readonly damage: readonly Damage[];
  readonly #paths: StorePaths;
  readonly #disk: DiskThread;
  readonly #budget: DiskBudget;
  readonly #lock: AsyncDisposable;
  readonly #adapters: Map<Digest, StoredAdapter>;
  readonly #blobs: Map<Digest, number>;
  /** Blobs that an `add` under way counts on. */
  readonly #held = new Map<Digest, number>();
  readonly #writing = new Map<Digest, Promise<unknown>>();
  readonly #partials = new Map<Digest, number>();

  /** @throws AdaptletError STORE_LOCKED */
  static async open(options: StoreOptions): Promise<ContentStore> {
    const paths = storePaths(options.root);
    await mkdir(options.root, { recursive: true });
    const lock = await lockFolder(options.root);
    try {
      await removeAll(paths.tmp);
      for (const folder of [paths.blobs, paths.adapters, paths.quarantine, paths.tmp]) {
        await mkdir(folder, { recursive: true });
      }
      return await ContentStore.#scan(paths, lock, options);
    } catch (error) {
      await lock[Symbol.asyncDispose]();
      throw error;
    }
  }

  static async #scan(paths: StorePaths, lock: AsyncDisposable, options: StoreOptions): Promise<ContentStore> {
    const limits = options.limits ?? defaultLimits;
    const scan = await scanStore(paths, limits);
    for (const { digest } of scan.damagedAdapters) await removeAll(paths.adapter(digest));
    for (const digest of scan.orphans) await removeAll(paths.blob(digest));
    const budget = new DiskBudget(options.budgetBytes);
    for (const size of scan.blobs.values()) budget.count(size);
    for (const { extraBytes } of scan.adapters.values()) budget.count(extraBytes);
    for (const name of await namesIn(paths.quarantine)) budget.count((await sizeOf(join(paths.quarantine, name))) ?? 0);
    const store = new ContentStore({ paths, lock, limits, budget, disk: options.disk, scan });
    for (const digest of scan.damagedBlobs) await store.#quarantineBlob(digest);
    return store;
  }

  private constructor(parts: {
    paths: StorePaths;
    lock: AsyncDisposable;
    limits: ArtifactLimits;
    budget: DiskBudget;
    disk: DiskThread;
    scan: Awaited<ReturnType<typeof scanStore>>;
  }) {
    this.limits = parts.limits;
    this.damage = parts.scan.damagedAdapters;
    this.#paths = parts.paths;
    this.#disk = parts.disk;
    this.#budget = parts.budget;
    this.#lock = parts.lock;
    this.#adapters = new Map(parts.scan.adapters);
    this.#blobs = new Map(parts.scan.blobs);
  }

  get usage(): { readonly usedBytes: number; readonly budgetBytes: number } {
    return { usedBytes: this.#budget.used, budgetBytes: this.#budget.limit };
  }

  stored(digest: Digest): { readonly bytes: number } | undefined {
    return this.#adapters.get(digest);
  }

  list(): readonly Digest[] {
    return [...this.#adapters.keys()];
  }

  /** @throws AdaptletError ARTIFACT_NOT_STORED */
  folder(digest: Digest): string {
    if (!this.#adapters.has(digest)) throw new AdaptletError('ARTIFACT_NOT_STORED', `${digest} is not in the store`);
    return join(this.#paths.adapter(digest), filesFolder);
  }

  /**
   * Adds an artifact: reserves its bytes, has the missing blobs written, verifies each, and makes it visible in one
   * step. A blob that broke off stays as a partial file, and the next attempt goes on from there.
   * @throws AdaptletError STORE_FULL, ARTIFACT_CORRUPT, and those of manifests, layers and archives
   */
  async add(bytes: Uint8Array, write: WriteBlob, signal: AbortSignal): Promise<Digest> {
    const digest = digestOf(bytes);
    if (this.#adapters.has(digest)) return digest;
    const manifest = parseManifest(bytes, this.limits, digest);
    layersOf(manifest, digest);
    const blobs = blobsOf(manifest);
    using _held = this.#hold(blobs);
    const missing = blobs.reduce((sum, blob) => sum + (this.#blobs.has(blob.digest) ? 0 : blob.size), 0);
    using reservation = await this.#reserve(missing, blobs, digest);
    try {
      for (const blob of blobs) await this.#exclusively(blob.digest, () => this.#bring(blob, write, reservation, signal));
      await this.#commit(digest, bytes, manifest, signal);
    } catch (error) {
      throw asStoreError(error, `storing ${digest}`);
    }
    return digest;
  }

  async remove(digest: Digest): Promise<void> {
    const adapter = this.#adapters.get(digest);
    if (adapter === undefined) return;
    await this.#forget(digest);
    for (const blob of blobsOf(adapter.manifest)) if (!this.#isNeeded(blob.digest)) await this.#dropBlob(blob.digest);
  }

  /** Takes an artifact out and its damaged blobs aside; sound ones that nobody else needs are removed. */
  async quarantine(digest: Digest, signal: AbortSignal): Promise<void> {
    const adapter = this.#adapters.get(digest);
    if (adapter === undefined) return;
    for (const blob of blobsOf(adapter.manifest)) {
      if (!(await this.#isSound(blob.digest, signal))) await this.#setAside(blob.digest);
    }
    await this.remove(digest);
  }

  /** Reads every blob and takes out the artifacts whose blobs are damaged. Resolves with them. */
  async scrub(signal: AbortSignal): Promise<readonly Damage[]> {
    const damage: Damage[] = [];
    for (const blob of [...this.#blobs.keys()]) {
      signal.throwIfAborted();
      if (!this.#blobs.has(blob) || (await this.#isSound(blob, signal))) continue;
      const lost = await this.#setAside(blob);
      damage.push(...lost.map((digest) => ({ digest, reason: `its blob ${blob} is damaged` })));
    }
    return damage;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#lock[Symbol.asyncDispose]();
  }

  async #reserve(bytes: number, blobs: readonly Descriptor[], digest: Digest): Promise<Reservation> {
    // What arrived before is part of what is reserved now.
    for (const blob of blobs) this.#uncountPartial(blob.digest);
    if (bytes > this.#budget.free) await this.#makeRoom();
    return this.#budget.reserve(bytes, digest);
  }

  /** Partial files that nobody is writing, and the quarantine, give way to artifacts. */
  async #makeRoom(): Promise<void> {
    for (const digest of [...this.#partials.keys()]) {
      if (this.#held.has(digest)) continue;
      this.#uncountPartial(digest);
      await removeAll(this.#paths.partial(digest));
    }
    for (const name of await namesIn(this.#paths.quarantine)) await this.#dropQuarantined(name);
  }

  #uncountPartial(digest: Digest): void {
    this.#budget.count(-(this.#partials.get(digest) ?? 0));
    this.#partials.delete(digest);
  }

  async #bring(blob: Descriptor, write: WriteBlob, reservation: Reservation, signal: AbortSignal): Promise<void> {
    if (this.#blobs.has(blob.digest)) return;
    const path = this.#paths.partial(blob.digest);
    try {
      const have = (await sizeOf(path)) ?? 0;
      await write(blob, path, have > blob.size ? 0 : have);
      await syncFile(path);
      await this.#verify(blob, path, signal);
    } catch (error) {
      await this.#keepPartial(blob.digest, asStoreError(error, ''));
      throw error;
    }
    const target = this.#paths.blob(blob.digest);
    const fan = join(target, '..');
    await mkdir(fan, { recursive: true });
    await rename(path, target);
    await syncFolder(fan);
    await syncFolder(this.#paths.blobs);
    this.#blobs.set(blob.digest, blob.size);
    reservation.spend(blob.size);
  }

  async #verify(blob: Descriptor, path: string, signal: AbortSignal): Promise<void> {
    // What is on the disk is hashed, not what came over the network: it covers both, and resumed files as well.
    const found = await this.#disk.hash(path, signal);
    if (found.digest === blob.digest && found.size === blob.size) return;
    throw new AdaptletError(
      'ARTIFACT_CORRUPT',
      `blob ${blob.digest} of ${blob.size} bytes came as ${found.digest} of ${found.size} bytes`,
    );
  }

  /** A transfer that broke off can go on; damaged bytes and a full disk cannot. */
  async #keepPartial(digest: Digest, error: unknown): Promise<void> {
    const path = this.#paths.partial(digest);
    if (error instanceof AdaptletError && ['ARTIFACT_CORRUPT', 'ARTIFACT_CHANGED', 'STORE_FULL'].includes(error.code)) {
      await removeAll(path);
      return;
    }
    const size = (await sizeOf(path)) ?? 0;
    this.#partials.set(digest, size);
    this.#budget.count(size);
  }

  /** Builds the folder beside its place and moves it there as a whole. */
  async #commit(digest: Digest, bytes: Uint8Array, manifest: Manifest, signal: AbortSignal): Promise<void> {
    const building = join(this.#paths.tmp, hexOf(digest));
    await removeAll(building);
    try {
      const extraBytes = await this.#buildFiles(join(building, filesFolder), manifest, digest, signal);
      const manifestPath = join(building, manifestFile);
      await writeFile(manifestPath, bytes);
      await syncFile(manifestPath);
      await syncFolder(join(building, filesFolder));
      await syncFolder(building);
      await rename(building, this.#paths.adapter(digest));
      await syncFolder(this.#paths.adapters);
      this.#budget.count(extraBytes);
      this.#adapters.set(digest, { manifest, bytes: totalBytes(manifest) + extraBytes, extraBytes });
    } catch (error) {
      await removeAll(building);
      throw error;
    }
  }

  async #buildFiles(target: string, manifest: Manifest, digest: Digest, signal: AbortSignal): Promise<number> {
    await mkdir(target, { recursive: true });
    let extraBytes = 0;
    for (const content of layersOf(manifest, digest)) {
      const blob = this.#paths.blob(content.layer.digest);
      if (content.kind === 'file') {
        extraBytes += await linkOrCopy(blob, join(target, content.name), content.layer.size);
        continue;
      }
      const maxBytes = Math.min(this.limits.maxBytes, this.#budget.free) - extraBytes;
      const { maxFiles } = this.limits;
      const { compression } = content;
      extraBytes += await this.#disk.extract({ archive: blob, compression, target, maxBytes, maxFiles }, signal);
    }
    return extraBytes;
  }

  #hold(blobs: readonly Descriptor[]): Disposable {
    for (const { digest } of blobs) this.#held.set(digest, (this.#held.get(digest) ?? 0) + 1);
    return {
      [Symbol.dispose]: () => {
        for (const { digest } of blobs) {
          const left = (this.#held.get(digest) ?? 0) - 1;
          if (left > 0) this.#held.set(digest, left);
          else this.#held.delete(digest);
        }
      },
    };
  }

  /** Two artifacts on their way may share a blob: one writes it, the other finds it. */
  async #exclusively(digest: Digest, run: () => Promise<void>): Promise<void> {
    const before = this.#writing.get(digest) ?? Promise.resolve();
    const mine = before.then(run, run);
    this.#writing.set(digest, mine);
    try {
      await mine;
    } finally {
      if (this.#writing.get(digest) === mine) this.#writing.delete(digest);
    }
  }

  #isNeeded(blob: Digest): boolean {
    return this.#held.has(blob) || this.#usersOf(blob).length > 0;
  }

  #usersOf(blob: Digest): readonly Digest[] {
    return [...this.#adapters].filter(([, a]) => blobsOf(a.manifest).some((b) => b.digest === blob)).map(([d]) => d);
  }

  /** Takes an artifact's folder away in one step; its blobs stay. */
  async #forget(digest: Digest): Promise<void> {
    const adapter = this.#adapters.get(digest);
    if (adapter === undefined) return;
    this.#adapters.delete(digest);
    const removed = join(this.#paths.tmp, `${hexOf(digest)}.removed`);
    await removeAll(removed);
    await rename(this.#paths.adapter(digest), removed);
    await syncFolder(this.#paths.adapters);
    await removeAll(removed);
    this.#budget.count(-adapter.extraBytes);
  }

  async #dropBlob(digest: Digest): Promise<void> {
    const size = this.#blobs.get(digest);
    if (size === undefined) return;
    this.#blobs.delete(digest);
    await removeAll(this.#paths.blob(digest));
    this.#budget.count(-size);
  }

  async #isSound(digest: Digest, signal: AbortSignal): Promise<boolean> {
    const path = this.#paths.blob(digest);
    if ((await sizeOf(path)) === undefined) return false;
    return (await this.#disk.hash(path, signal)).digest === digest;
  }

  /** Takes a damaged blob aside and forgets the artifacts that need it. Resolves with those. */
  async #setAside(blob: Digest): Promise<readonly Digest[]> {
    const users = this.#usersOf(blob);
    for (const digest of users) await this.#forget(digest);
    this.#budget.count(-(this.#blobs.get(blob) ?? 0));
    this.#blobs.delete(blob);
    await this.#quarantineBlob(blob);
    return users;
  }

  async #quarantineBlob(digest: Digest): Promise<void> {
    const size = await sizeOf(this.#paths.blob(digest));
    if (size === undefined) return;
    const names = await namesIn(this.#paths.quarantine);
    for (const name of names.slice(0, Math.max(0, names.length + 1 - quarantineKeeps))) await this.#dropQuarantined(name);
    const target = join(this.#paths.quarantine, hexOf(digest));
    this.#budget.count(-((await sizeOf(target)) ?? 0));
    await rename(this.#paths.blob(digest), target);
    this.#budget.count(size);
  }

  async #dropQuarantined(name: string): Promise<void> {
    const path = join(this.#paths.quarantine, name);
    this.#budget.count(-((await sizeOf(path)) ?? 0));
    await removeAll(path);
  }
}
