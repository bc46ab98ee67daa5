import { createHash } from 'node:crypto';
import { join } from 'node:path';
import type { Digest } from '../../api/names.ts';
import type { Caution } from '../../artifact/caution.ts';
import type { DiskBudget, Reservation } from '../../artifact/disk-budget.ts';
import { type Files, nodeFiles } from '../../disk/files.ts';
import { AdaptletError } from '../../errors/adaptlet-error.ts';
import { errnoOf } from '../../errors/errno.ts';
import type { CompileTarget } from './compile-target.ts';
import { type CompiledAdapter, compiledFrom } from './compiled-adapter.ts';
import { readCompiledHeader } from './read-header.ts';

/** Every place where compiled files are touched, but for the threads that write them (`compile.*`) and the engine. */
export const compiledPoints = [
  'compiled.mkdir',
  'compiled.list',
  'compiled.stat',
  'compiled.drop-temporary',
  'compiled.read',
  'compiled.drop-unusable',
  'compiled.list-temporary',
  'compiled.remove',
  'compiled.remove-stale',
  'compiled.remove-orphan',
  'compile.mkdir',
  'compile.write',
  'compile.fsync',
  'compile.rename',
  'compile.drop',
  'compile.fsync-folder',
] as const;

export type CompiledPoint = (typeof compiledPoints)[number];

export type CompiledFolderOptions = {
  /** A cache, which may be emptied whenever nothing is loaded from it. */
  readonly dir: string;
  /** What the files are counted in. Default: nothing. */
  readonly budget?: DiskBudget;
  /** Has left-overs within the budget give way. Default: there are none. */
  readonly makeRoom?: () => Promise<void>;
  /** Of the store that its budget is of. Default: tidied up in any case. */
  readonly caution?: Caution;
  /** Default: the disk of this machine. */
  readonly files?: Files<CompiledPoint>;
};

const suffix = '.adaptlet';
const temporarySuffix = '.tmp';

const hex = (digest: Digest): string => digest.slice('sha256:'.length);

/** Of the name of a file: the digest of its adapter. */
const ownerOf = (name: string): string => name.slice(0, Math.max(0, name.indexOf('-')));

/** What the names of all files for one base model and version of the engine end with. */
const endOf = ({ baseDigest, engineVersion }: CompileTarget): string => {
  const version = createHash('sha256').update(engineVersion).digest('hex');
  return `-${hex(baseDigest).slice(0, 16)}-${version.slice(0, 8)}${suffix}`;
};

/**
 * The folder of compiled files: which are there, for what, and how much of the disk they take.
 *
 * Guarantee: what is left half-written is deleted at the next start. Assumes: one process owns the folder.
 */
export class CompiledFolder {
  readonly #dir: string;
  readonly #budget: DiskBudget | undefined;
  readonly #makeRoom: () => Promise<void>;
  readonly #files: Files<CompiledPoint>;
  /** Bytes by name. */
  readonly #sizes = new Map<string, number>();
  /** Names of the files of an adapter, by its digest: there may be thousands of files. */
  readonly #names = new Map<string, Set<string>>();

  /** Counts what is there. A file that cannot be looked at or deleted holds up nobody. */
  static async open(options: CompiledFolderOptions): Promise<CompiledFolder> {
    const { dir, budget, caution, files = nodeFiles } = options;
    await files.mkdir('compiled.mkdir', dir);
    const sizes = new Map<string, number>();
    for (const name of await files.names('compiled.list', dir)) {
      try {
        sizes.set(name, (await files.stat('compiled.stat', join(dir, name))).size);
      } catch (error) {
        if (errnoOf(error) === undefined) throw error;
      }
    }
    const half = [...sizes.keys()].filter((name) => name.endsWith(temporarySuffix));
    const dropHalf = async (): Promise<void> => {
      for (const name of half) {
        await files.remove('compiled.drop-temporary', join(dir, name));
        sizes.delete(name);
      }
    };
    if (half.length > 0) await (caution?.run('half-written compiled files', dropHalf) ?? dropHalf());
    for (const size of sizes.values()) budget?.count(size);
    return new CompiledFolder(options, files, sizes);
  }

  private constructor(
    { dir, budget, makeRoom = () => Promise.resolve() }: CompiledFolderOptions,
    files: Files<CompiledPoint>,
    sizes: Map<string, number>,
  ) {
    this.#dir = dir;
    this.#budget = budget;
    this.#makeRoom = makeRoom;
    this.#files = files;
    for (const [name, size] of sizes) this.#came(name, size);
  }

  /** One name per adapter, base and engine version; the digest in front, so that all files of an adapter are found. */
  fileOf(digest: Digest, target: CompileTarget): string {
    return join(this.#dir, `${hex(digest)}${endOf(target)}`);
  }

  /** Of the files of an adapter; undefined when there is none. */
  bytesOf(digest: Digest): number | undefined {
    let bytes: number | undefined;
    for (const name of this.#names.get(hex(digest)) ?? [])
      bytes = (bytes ?? 0) + (this.#sizes.get(name) ?? 0);
    return bytes;
  }

  /**
   * Sets room aside for a file that is about to be written.
   * @throws AdaptletError STORE_FULL
   */
  async reserve(bytes: number, digest: Digest): Promise<Reservation> {
    if (this.#budget !== undefined && bytes > this.#budget.free) await this.#makeRoom();
    return this.#budget?.reserve(bytes, `the compiled file of ${digest}`) ?? unlimited;
  }

  /** Counts a file that was written with room that was set aside. */
  written({ file, bytes }: Pick<CompiledAdapter, 'file' | 'bytes'>, room: Reservation): void {
    const name = file.slice(this.#dir.length + 1);
    this.#budget?.count(-(this.#sizes.get(name) ?? 0));
    this.#came(name, bytes);
    room.spend(bytes);
  }

  /** The file that is there, when it is intact and for exactly this use; a torn or foreign one is deleted. */
  async reusable(
    digest: Digest,
    target: CompileTarget,
    maxRank: number,
  ): Promise<CompiledAdapter | undefined> {
    const file = this.fileOf(digest, target);
    try {
      const header = await readCompiledHeader(file, undefined, (path) =>
        this.#files.open('compiled.read', path),
      );
      const fits =
        header.adapterDigest === digest &&
        header.baseDigest === target.baseDigest &&
        header.engineVersion === target.engineVersion &&
        header.rank <= maxRank;
      if (fits) return compiledFrom(file, header, target.weights);
    } catch (error) {
      if (errnoOf(error) === 'ENOENT') {
        this.#gone(file.slice(this.#dir.length + 1));
        return undefined;
      }
      // What cannot be read any more is made anew, like what is torn.
      if (!(error instanceof AdaptletError) && errnoOf(error) !== 'EIO') throw error;
    }
    await this.#remove('compiled.drop-unusable', file.slice(this.#dir.length + 1));
    return undefined;
  }

  /** What a thread left that was stopped in the middle of its work. */
  async dropTemporaries(digest: Digest): Promise<void> {
    for (const name of await this.#files.names('compiled.list-temporary', this.#dir))
      if (name.startsWith(`${hex(digest)}-`) && name.endsWith(temporarySuffix))
        await this.#files.remove('compiled.drop-temporary', join(this.#dir, name));
  }

  /** Deletes the files of an adapter. */
  async remove(digest: Digest): Promise<void> {
    const names = Array.from(this.#names.get(hex(digest)) ?? []);
    for (const name of names) await this.#remove('compiled.remove', name);
  }

  /** Deletes what was made for another base model, engine or format: it would be made anew from its artifact. Resolves with how many. */
  removeStale(target: CompileTarget): Promise<number> {
    const end = endOf(target);
    return this.#removeAll('compiled.remove-stale', (name) => !name.endsWith(end));
  }

  /** Deletes the files of artifacts that are not here. Resolves with how many. */
  removeOrphans(isStored: (digest: Digest) => boolean): Promise<number> {
    return this.#removeAll(
      'compiled.remove-orphan',
      (name) => !isStored(`sha256:${ownerOf(name)}` as Digest),
    );
  }

  async #removeAll(at: CompiledPoint, isMeant: (name: string) => boolean): Promise<number> {
    const names = [...this.#sizes.keys()].filter(isMeant);
    for (const name of names) await this.#remove(at, name);
    return names.length;
  }

  async #remove(at: CompiledPoint, name: string): Promise<void> {
    await this.#files.remove(at, join(this.#dir, name));
    this.#gone(name);
  }

  #came(name: string, size: number): void {
    this.#sizes.set(name, size);
    const names = this.#names.get(ownerOf(name)) ?? new Set();
    this.#names.set(ownerOf(name), names.add(name));
  }

  #gone(name: string): void {
    this.#budget?.count(-(this.#sizes.get(name) ?? 0));
    this.#sizes.delete(name);
    const names = this.#names.get(ownerOf(name));
    names?.delete(name);
    if (names?.size === 0) this.#names.delete(ownerOf(name));
  }
}

const unlimited: Reservation = { spend: () => undefined, [Symbol.dispose]: () => undefined };
