import { mkdir, rename } from 'node:fs/promises';
import { join } from 'node:path';
import type { Digest } from '../api/names.ts';
import { syncFolder } from '../disk/durable.ts';
import { AdaptletError } from '../errors/adaptlet-error.ts';
import { hexOf } from './digest.ts';
import type { DiskBudget, Reservation } from './disk-budget.ts';
import type { DiskThread } from './disk-thread.ts';
import { KeyedMutex } from './keyed-mutex.ts';
import type { Descriptor } from './manifest.ts';
import { asStoreError, namesIn, removeAll, type StorePaths, sizeOf, syncFile } from './store-files.ts';

/** Writes the rest of a blob to `path`, of which `have` bytes are there from an attempt that broke off. */
export type WriteBlob = (blob: Descriptor, path: string, have: number) => Promise<void>;

/** Damaged blobs that are kept for a look. */
const quarantineKeeps = 4;
/** After these the bytes that arrived are of no use; after anything else the transfer goes on where it broke off. */
const uselessAfter: readonly string[] = ['ARTIFACT_CORRUPT', 'ARTIFACT_CHANGED', 'STORE_FULL'];

/**
 * Blobs on the disk, by digest, within the budget: bringing them in (resumable, verified, durable), holding them
 * while an artifact is put together, and setting damaged ones aside.
 */
export class BlobPool {
  readonly #paths: StorePaths;
  readonly #disk: DiskThread;
  readonly #budget: DiskBudget;
  /** Whether a stored artifact needs the blob. */
  readonly #isUsed: (digest: Digest) => boolean;
  readonly #blobs: Map<Digest, number>;
  readonly #held = new Map<Digest, number>();
  /** One at a time writes a blob or takes it away. */
  readonly #mutex = new KeyedMutex<Digest>();
  /** Bytes of blobs that broke off; counted in the budget. */
  readonly #partials: Map<Digest, number>;

  constructor(parts: {
    readonly paths: StorePaths;
    readonly disk: DiskThread;
    readonly budget: DiskBudget;
    readonly blobs: ReadonlyMap<Digest, number>;
    /** What is there of blobs that broke off; counted in the budget. */
    readonly partials: ReadonlyMap<Digest, number>;
    readonly isUsed: (digest: Digest) => boolean;
  }) {
    this.#paths = parts.paths;
    this.#disk = parts.disk;
    this.#budget = parts.budget;
    this.#isUsed = parts.isUsed;
    this.#blobs = new Map(parts.blobs);
    this.#partials = new Map(parts.partials);
  }

  digests(): readonly Digest[] {
    return [...this.#blobs.keys()];
  }

  bytesOf(blobs: readonly Descriptor[]): number {
    return blobs.reduce(
      (sum, { digest }) => sum + (this.#blobs.get(digest) ?? this.#partials.get(digest) ?? 0),
      0,
    );
  }

  /** Keeps blobs, those that are here and those that come, until it is disposed. */
  hold(blobs: readonly Descriptor[]): Disposable {
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

  /**
   * Sets room aside for what is missing of these blobs. Left-overs give way when there is too little.
   * @throws AdaptletError STORE_FULL
   */
  async reserve(blobs: readonly Descriptor[], what: string): Promise<Reservation> {
    const missing = blobs
      .filter(({ digest }) => !this.#blobs.has(digest))
      .reduce((sum, { digest, size }) => sum + Math.max(0, size - (this.#partials.get(digest) ?? 0)), 0);
    if (missing > this.#budget.free) await this.clearLeftovers();
    return this.#budget.reserve(missing, what);
  }

  /**
   * Has a blob written unless it is here; resolves with whether it was. Two artifacts on their way may share one: one writes
   * it, the other finds it.
   * @throws AdaptletError ARTIFACT_CORRUPT, STORE_FULL, what `write` throws, and the reason of `signal`
   */
  async bring(
    blob: Descriptor,
    write: WriteBlob,
    reservation: Reservation,
    signal: AbortSignal,
  ): Promise<boolean> {
    const work = () => this.#bringAlone(blob, write, reservation, signal);
    return await this.#mutex.runExclusive(blob.digest, work, signal);
  }

  /**
   * Reads a blob; calls `lose` when it is damaged. Left alone is what an artifact is just being put together with: that
   * was read when it came.
   */
  async audit(digest: Digest, signal: AbortSignal, lose: () => Promise<void>): Promise<void> {
    const work = async (): Promise<void> => {
      if (!this.#blobs.has(digest) || (await this.isSound(digest, signal))) return;
      if (!this.#held.has(digest)) await lose();
    };
    // What is still on its way is read when it is here; its source may be slow.
    if (this.#blobs.has(digest)) await this.#mutex.runExclusive(digest, work, signal);
  }

  /** Removes a blob that nobody needs. */
  async release(digest: Digest): Promise<void> {
    const size = this.#blobs.get(digest);
    if (size === undefined || this.#held.has(digest) || this.#isUsed(digest)) return;
    this.#blobs.delete(digest);
    await removeAll(this.#paths.blob(digest));
    this.#budget.count(-size);
  }

  /** Reads a blob: whether it still has its digest. */
  async isSound(digest: Digest, signal: AbortSignal): Promise<boolean> {
    const path = this.#paths.blob(digest);
    if ((await sizeOf(path)) === undefined) return false;
    return (await this.#disk.hash(path, signal)).digest === digest;
  }

  /** Moves a blob out of the way; the next artifact that needs it brings it again. */
  async setAside(digest: Digest): Promise<void> {
    this.#budget.count(-(this.#blobs.get(digest) ?? 0));
    this.#blobs.delete(digest);
    const size = await sizeOf(this.#paths.blob(digest));
    if (size === undefined) return;
    const names = await namesIn(this.#paths.quarantine);
    for (const name of names.slice(0, Math.max(0, names.length + 1 - quarantineKeeps)))
      await this.#dropAside(name);
    const target = join(this.#paths.quarantine, hexOf(digest));
    this.#budget.count(size - ((await sizeOf(target)) ?? 0));
    await rename(this.#paths.blob(digest), target);
  }

  async #bringAlone(
    blob: Descriptor,
    write: WriteBlob,
    reservation: Reservation,
    signal: AbortSignal,
  ): Promise<boolean> {
    const here = this.#blobs.get(blob.digest);
    if (here === blob.size) return false;
    if (here !== undefined && (await this.#isVerified(blob.digest, signal))) throw liesAbout(blob, here);
    const path = this.#paths.partial(blob.digest);
    try {
      await write(blob, path, (await sizeOf(path)) ?? 0);
      await syncFile(path);
      await this.#verify(blob, path, signal);
      await this.#publish(blob, path);
    } catch (error) {
      throw await this.#afterFailure(blob.digest, error);
    }
    reservation.spend(blob.size - (this.#partials.get(blob.digest) ?? 0) - (here ?? 0));
    this.#partials.delete(blob.digest);
    this.#blobs.set(blob.digest, blob.size);
    return true;
  }

  /** What an artifact needs was verified; what the last owner left may have been damaged since. */
  async #isVerified(digest: Digest, signal: AbortSignal): Promise<boolean> {
    return this.#isUsed(digest) || (await this.isSound(digest, signal));
  }

  /** What is on the disk is hashed, not what came over the network: that covers both, and resumed files as well. */
  async #verify(blob: Descriptor, path: string, signal: AbortSignal): Promise<void> {
    const found = await this.#disk.hash(path, signal);
    if (found.digest === blob.digest && found.size === blob.size) return;
    throw new AdaptletError(
      'ARTIFACT_CORRUPT',
      `blob ${blob.digest} of ${blob.size} bytes came as ${found.digest} of ${found.size} bytes`,
    );
  }

  async #publish(blob: Descriptor, path: string): Promise<void> {
    const target = this.#paths.blob(blob.digest);
    const fan = join(target, '..');
    await mkdir(fan, { recursive: true });
    await rename(path, target);
    await syncFolder(fan);
    await syncFolder(this.#paths.blobs);
  }

  /** Counts what is left of the attempt, and gives the error to throw. */
  async #afterFailure(digest: Digest, cause: unknown): Promise<unknown> {
    const error = asStoreError(cause, `writing blob ${digest}`);
    const path = this.#paths.partial(digest);
    if (error instanceof AdaptletError && uselessAfter.includes(error.code)) await removeAll(path);
    const size = (await sizeOf(path)) ?? 0;
    this.#budget.count(size - (this.#partials.get(digest) ?? 0));
    if (size > 0) this.#partials.set(digest, size);
    else this.#partials.delete(digest);
    return error;
  }

  /** Partial files that nobody is writing, blobs that nobody needs, and the quarantine. */
  async clearLeftovers(): Promise<void> {
    for (const [digest, size] of this.#partials) {
      if (this.#held.has(digest)) continue;
      this.#partials.delete(digest);
      this.#budget.count(-size);
      await removeAll(this.#paths.partial(digest));
    }
    for (const digest of this.digests()) await this.release(digest);
    for (const name of await namesIn(this.#paths.quarantine)) await this.#dropAside(name);
  }

  async #dropAside(name: string): Promise<void> {
    const path = join(this.#paths.quarantine, name);
    this.#budget.count(-((await sizeOf(path)) ?? 0));
    await removeAll(path);
  }
}

const liesAbout = ({ digest, size }: Descriptor, here: number): AdaptletError =>
  new AdaptletError(
    'ARTIFACT_CORRUPT',
    `the manifest gives blob ${digest}, which has ${here} bytes, ${size}`,
    {
      advice: 'Push the artifact again: its manifest is wrong.',
    },
  );
