import { join } from 'node:path';
import type { Digest } from '../api/names.ts';
import { AdaptletError } from '../errors/adaptlet-error.ts';
import { errnoOf } from '../errors/errno.ts';
import { hexOf } from './digest.ts';
import type { DiskBudget, Reservation } from './disk-budget.ts';
import type { DiskThread } from './disk-thread.ts';
import { KeyedMutex } from './keyed-mutex.ts';
import type { Descriptor } from './manifest.ts';
import { asStoreError, namesIn, type StorePaths, sizeOf } from './store-files.ts';
import type { StoreDisk, StorePoint } from './store-points.ts';

/** Writes the rest of a blob to `path`, of which `have` bytes are there from an attempt that broke off. */
export type WriteBlob = (blob: Descriptor, path: string, have: number) => Promise<void>;

/** How somebody goes on who has waited for his turn for long. */
export type Apart = {
  /** Calls `isLong` once that is so. The result ends the wait. */
  readonly wait: (isLong: () => void) => () => void;
  /** Writes the blob, from its own source, beside what somebody else is writing. */
  readonly write: WriteBlob;
};

/** Damaged blobs that are kept for a look. */
const quarantineKeeps = 4;
/** After these the bytes that arrived are of no use; after anything else the transfer goes on where it broke off. */
const uselessAfter: readonly string[] = [
  'ARTIFACT_CORRUPT',
  'ARTIFACT_CHANGED',
  'SOURCE_MISMATCH',
  'STORE_FULL',
];

/** The first of its parts is there from the beginning. */
type Room = { readonly parts: Reservation[]; bytes: number; users: number };

/**
 * Blobs on the disk, by digest, within the budget: bringing them in (resumable, verified, durable), holding them
 * while an artifact is put together, and setting damaged ones aside.
 *
 * Guarantee: a source that is slow keeps a blob from nobody who has another one, but for his patience and while the budget has
 * room for a second copy. The first copy that is verified is the blob.
 */
export class BlobPool {
  readonly #paths: StorePaths;
  readonly #files: StoreDisk;
  readonly #disk: DiskThread;
  readonly #budget: DiskBudget;
  /** Whether a stored artifact needs the blob. */
  readonly #isUsed: (digest: Digest) => boolean;
  readonly #blobs: Map<Digest, number>;
  readonly #held = new Map<Digest, number>();
  /** One at a time writes a blob to its partial file. */
  readonly #mutex = new KeyedMutex<Digest>();
  /** One at a time puts a verified blob in its place, or takes it away. */
  readonly #places = new KeyedMutex<Digest>();
  /** Room for blobs that come, of which manifests may say different sizes, and how many wait for each. */
  readonly #rooms = new Map<Digest, Room>();
  #copies = 0;
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
    this.#files = parts.paths.files;
    this.#disk = parts.disk;
    this.#budget = parts.budget;
    this.#isUsed = parts.isUsed;
    this.#blobs = new Map(parts.blobs);
    this.#partials = new Map(parts.partials);
  }

  digests(): readonly Digest[] {
    return [...this.#blobs.keys()];
  }

  bytesOf(blobs: readonly Pick<Descriptor, 'digest'>[]): number {
    return blobs.reduce(
      (sum, { digest }) => sum + (this.#blobs.get(digest) ?? this.#partials.get(digest) ?? 0),
      0,
    );
  }

  file(digest: Digest): { readonly path: string; readonly bytes: number } | undefined {
    const bytes = this.#blobs.get(digest);
    return bytes === undefined ? undefined : { path: this.#paths.blob(digest), bytes };
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
   * Sets room aside for what is missing of these blobs, once for all who bring them. Left-overs give way when there is too
   * little.
   * @throws AdaptletError STORE_FULL
   */
  async reserve(blobs: readonly Descriptor[], what: string): Promise<Disposable> {
    const needs = (): number => this.#newOf(blobs).reduce((sum, blob) => sum + this.#unpromised(blob), 0);
    if (needs() > this.#budget.free) await this.clearLeftovers();
    if (needs() > this.#budget.free) await this.#budget.makeRoom(needs());
    // All of them, or none.
    this.#budget.reserve(needs(), what)[Symbol.dispose]();
    for (const blob of this.#newOf(blobs)) {
      const room = this.#rooms.get(blob.digest) ?? { parts: [], bytes: 0, users: 0 };
      const bytes = this.#unpromised(blob);
      if (bytes > 0 || room.parts.length === 0) room.parts.push(this.#budget.reserve(bytes, what));
      room.bytes += bytes;
      this.#rooms.set(blob.digest, room);
    }
    const taken = [...new Set(blobs.map(({ digest }) => digest))].flatMap((digest) => {
      const room = this.#rooms.get(digest);
      if (room === undefined) return [];
      room.users += 1;
      return [[digest, room] as const];
    });
    return {
      [Symbol.dispose]: () => {
        for (const [digest, room] of taken) {
          room.users -= 1;
          if (room.users > 0) continue;
          this.#rooms.delete(digest);
          for (const part of room.parts) part[Symbol.dispose]();
        }
      },
    };
  }

  /** Those that are not here, each once. */
  #newOf(blobs: readonly Descriptor[]): readonly Descriptor[] {
    const byDigest = new Map(blobs.map((blob) => [blob.digest, blob]));
    return [...byDigest.values()].filter(({ digest }) => !this.#blobs.has(digest));
  }

  /** What is missing of a blob and has no room yet. */
  #unpromised(blob: Descriptor): number {
    return Math.max(0, this.#missingOf(blob) - (this.#rooms.get(blob.digest)?.bytes ?? 0));
  }

  #missingOf({ digest, size }: Descriptor): number {
    return Math.max(0, size - (this.#partials.get(digest) ?? 0));
  }

  /**
   * Has a blob written unless it is here, with room that was reserved; resolves with whether it was. Two artifacts on their way
   * may share one: one writes it, the other finds it, or writes a copy where that takes long and `apart` says how.
   * @throws AdaptletError ARTIFACT_CORRUPT, STORE_FULL, what `write` throws, and the reason of `signal`
   */
  async bring(blob: Descriptor, write: WriteBlob, signal: AbortSignal, apart?: Apart): Promise<boolean> {
    // Here, though a slow source may still send it.
    if (this.#blobs.get(blob.digest) === blob.size) return false;
    const long = new AbortController();
    const isLong = new Error('somebody else writes this blob for long');
    const stop = apart?.wait(() => long.abort(isLong));
    const work = () => {
      stop?.();
      return this.#bringAlone(blob, write, signal);
    };
    try {
      return await this.#mutex.runExclusive(blob.digest, work, AbortSignal.any([signal, long.signal]));
    } catch (error) {
      if (error !== isLong || apart === undefined) throw error;
    } finally {
      stop?.();
    }
    if (this.#blobs.has(blob.digest) || blob.size > this.#budget.free)
      return await this.bring(blob, write, signal);
    return await this.#bringCopy(blob, apart.write, signal);
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
    if (this.#blobs.has(digest)) await this.#places.runExclusive(digest, work, signal);
  }

  /** Removes a blob that nobody needs. One that cannot be removed counts as one that is here. */
  async release(digest: Digest): Promise<void> {
    if (!this.#isFree(digest)) return;
    // Who just brings it anew puts it there after this, or before, and then it is held.
    await this.#places.runExclusive(digest, async () => {
      const size = this.#blobs.get(digest);
      if (size === undefined || !this.#isFree(digest)) return;
      this.#blobs.delete(digest);
      try {
        await this.#files.remove('blob.remove', this.#paths.blob(digest));
      } catch (error) {
        this.#blobs.set(digest, size);
        throw error;
      }
      this.#budget.count(-size);
    });
  }

  #isFree(digest: Digest): boolean {
    return this.#blobs.has(digest) && !this.#held.has(digest) && !this.#isUsed(digest);
  }

  /** Reads a blob: whether it still has its digest. What the disk cannot read any more has not. */
  async isSound(
    digest: Digest,
    signal: AbortSignal,
    disk: Pick<DiskThread, 'hash'> = this.#disk,
  ): Promise<boolean> {
    const path = this.#paths.blob(digest);
    try {
      if ((await sizeOf(this.#files, 'blob.stat', path)) === undefined) return false;
      return (await disk.hash(path, signal, 'blob.read')).digest === digest;
    } catch (error) {
      if (errnoOf(error) === 'EIO' || errnoOf(error) === 'ENOENT') return false;
      throw error;
    }
  }

  /** Moves a blob out of the way; the next artifact that needs it brings it again. */
  async setAside(digest: Digest): Promise<void> {
    const files = this.#files;
    this.#budget.count(-(this.#blobs.get(digest) ?? 0));
    this.#blobs.delete(digest);
    const size = await sizeOf(files, 'quarantine.stat-blob', this.#paths.blob(digest));
    if (size === undefined) return;
    const names = await namesIn(files, 'quarantine.list', this.#paths.quarantine);
    for (const name of names.slice(0, Math.max(0, names.length + 1 - quarantineKeeps)))
      await this.#dropAside(name);
    const target = join(this.#paths.quarantine, hexOf(digest));
    const before = (await sizeOf(files, 'quarantine.stat', target)) ?? 0;
    await files.mkdir('quarantine.mkdir', this.#paths.quarantine);
    await files.rename('quarantine.rename', this.#paths.blob(digest), target);
    this.#budget.count(size - before);
  }

  async #bringAlone(blob: Descriptor, write: WriteBlob, signal: AbortSignal): Promise<boolean> {
    const here = this.#blobs.get(blob.digest);
    if (here === blob.size) return false;
    if (here !== undefined && (await this.#isVerified(blob.digest, signal))) throw liesAbout(blob, here);
    const path = this.#paths.partial(blob.digest);
    try {
      await write(blob, path, (await sizeOf(this.#files, 'blob.stat-partial', path)) ?? 0);
      await this.#files.sync('blob.fsync', path);
      await this.#verify(blob, path, 'blob.hash', signal);
      await this.#place(blob, path, () => {
        const spent = blob.size - (this.#partials.get(blob.digest) ?? 0) - (here ?? 0);
        this.#partials.delete(blob.digest);
        this.#spend(blob.digest, spent);
      });
    } catch (error) {
      throw await this.#afterFailure(blob.digest, error);
    }
    // A copy was faster.
    this.#budget.count(-(this.#partials.get(blob.digest) ?? 0));
    this.#partials.delete(blob.digest);
    return true;
  }

  /** A copy from another source, beside the partial file. Nothing of it is kept when it fails. */
  async #bringCopy(blob: Descriptor, write: WriteBlob, signal: AbortSignal): Promise<boolean> {
    using room = this.#budget.reserve(blob.size, `a copy of blob ${blob.digest}`);
    this.#copies += 1;
    const path = this.#paths.copy(blob.digest, this.#copies);
    try {
      await write(blob, path, 0);
      await this.#files.sync('copy.fsync', path);
      await this.#verify(blob, path, 'copy.hash', signal);
      await this.#place(blob, path, () => room.spend(blob.size));
    } catch (error) {
      await this.#files.remove('copy.drop', path);
      throw asStoreError(error, `writing blob ${blob.digest}`);
    }
    return true;
  }

  /** Makes a verified file the blob, unless there is one by now: then it goes. */
  async #place(blob: Descriptor, path: string, counted: () => void): Promise<void> {
    await this.#places.runExclusive(blob.digest, async () => {
      if (this.#blobs.get(blob.digest) === blob.size) {
        await this.#files.remove('blob.drop-second', path);
        return;
      }
      await this.#publish(blob, path);
      counted();
      this.#blobs.set(blob.digest, blob.size);
    });
  }

  #spend(digest: Digest, bytes: number): void {
    const room = this.#rooms.get(digest);
    if (room === undefined) this.#budget.count(bytes);
    else room.parts[0]?.spend(bytes);
  }

  /** What an artifact needs was verified; what the last owner left may have been damaged since. */
  async #isVerified(digest: Digest, signal: AbortSignal): Promise<boolean> {
    return this.#isUsed(digest) || (await this.isSound(digest, signal));
  }

  /** What is on the disk is hashed, not what came over the network: that covers both, and resumed files as well. */
  async #verify(blob: Descriptor, path: string, at: StorePoint, signal: AbortSignal): Promise<void> {
    const found = await this.#disk.hash(path, signal, at);
    if (found.digest === blob.digest && found.size === blob.size) return;
    throw new AdaptletError(
      'ARTIFACT_CORRUPT',
      `blob ${blob.digest} of ${blob.size} bytes came as ${found.digest} of ${found.size} bytes`,
    );
  }

  async #publish(blob: Descriptor, path: string): Promise<void> {
    const target = this.#paths.blob(blob.digest);
    const fan = join(target, '..');
    await this.#files.mkdir('blob.mkdir', fan);
    await this.#files.rename('blob.rename', path, target);
    await this.#files.sync('blob.fsync-fan', fan);
    await this.#files.sync('blob.fsync-root', this.#paths.blobs);
  }

  /** Counts what is left of the attempt, and gives the error to throw. */
  async #afterFailure(digest: Digest, cause: unknown): Promise<unknown> {
    const error = asStoreError(cause, `writing blob ${digest}`);
    const path = this.#paths.partial(digest);
    if (error instanceof AdaptletError && uselessAfter.includes(error.code))
      await this.#files.remove('blob.drop-partial', path);
    const size = (await sizeOf(this.#files, 'blob.stat-left', path)) ?? 0;
    this.#budget.count(size - (this.#partials.get(digest) ?? 0));
    if (size > 0) this.#partials.set(digest, size);
    else this.#partials.delete(digest);
    return error;
  }

  /** Partial files that nobody is writing, blobs that nobody needs, and the quarantine. */
  async clearLeftovers(): Promise<void> {
    await this.dropUnfinished(() => false);
    for (const name of await namesIn(this.#files, 'quarantine.list', this.#paths.quarantine))
      await this.#dropAside(name);
  }

  /** Partial files that nobody is writing, and blobs that nobody needs, but for those that are kept. */
  async dropUnfinished(isKept: (digest: Digest) => boolean): Promise<void> {
    for (const digest of this.#partials.keys())
      if (!this.#held.has(digest) && !isKept(digest)) await this.#dropPartial(digest);
    for (const digest of this.digests()) if (!isKept(digest)) await this.release(digest);
  }

  /** In turn: who brings the blob anew begins after this, or was first, and then it is held. */
  async #dropPartial(digest: Digest): Promise<void> {
    await this.#mutex.runExclusive(digest, async () => {
      const size = this.#partials.get(digest);
      if (size === undefined || this.#held.has(digest)) return;
      this.#partials.delete(digest);
      this.#budget.count(-size);
      await this.#files.remove('leftover.drop-partial', this.#paths.partial(digest));
    });
  }

  async #dropAside(name: string): Promise<void> {
    const path = join(this.#paths.quarantine, name);
    const size = (await sizeOf(this.#files, 'quarantine.stat', path)) ?? 0;
    await this.#files.remove('quarantine.drop', path);
    this.#budget.count(-size);
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
