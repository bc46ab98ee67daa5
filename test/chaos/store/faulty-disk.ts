import { createHash } from 'node:crypto';
import {
  constants,
  copyFileSync,
  existsSync,
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  type Stats,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import type { Server } from 'node:net';
import { dirname, join } from 'node:path';
import type { Digest } from '../../../src/api/names.ts';
import type { DiskThread } from '../../../src/artifact/disk-thread.ts';
import { extract } from '../../../src/artifact/extract.ts';
import { type Files, nodeFiles } from '../../../src/disk/files.ts';
import { errnoOf } from '../../../src/errors/errno.ts';

/** What happens at a place in the code, the first time that it is reached; with `for-ever` each time. */
export const faults = [
  'kill',
  'kill-after',
  'kill-for-ever',
  'power-cut',
  'power-cut-after',
  'ENOSPC',
  'EIO',
  'EIO-for-ever',
  'read-only',
  'torn',
  'flipped',
  'removed-folder',
  'clock-jump',
] as const;
export type Fault = (typeof faults)[number];

/** The end of the process: nothing that it does after this reaches the disk. */
export class Killed extends Error {}

/** Places where bytes are written, which half of them can get to the disk of. */
const writes = /(^blob\.write|^copy\.write|\.write|\.write-manifest|^adapter\.copy|^adapter\.unpack)$/;
/** Places after or before which a file has content that can change. */
const touchesContent =
  /(^blob\.write|^copy\.write|\.write|\.write-manifest|\.copy|\.rename|\.link|\.hash|\.read|\.read-manifest|\.fsync|\.fsync-manifest|\.unpack)$/;

/** Places that only look. */
const looks = /\.(look|list|stat|read|hash|open)(-|$)/;

/** Whether a fault can happen there. */
export const canHappen = (fault: Fault, point: string): boolean => {
  if (fault === 'ENOSPC' || fault === 'power-cut-after' || fault === 'kill-after') return !looks.test(point);
  if (fault === 'torn') return writes.test(point);
  if (fault === 'flipped') return touchesContent.test(point) && point !== 'lock.link';
  return true;
};

const errorOf = (code: string): Error => Object.assign(new Error(`${code}: broken by the test`), { code });

const found = (path: string): Stats | undefined => statSync(path, { throwIfNoEntry: false });

const remove = (path: string): void => rmSync(path, { recursive: true, force: true });

/** Flips one bit in the middle of a file, if it is one. */
const flip = (path: string): void => {
  const it = found(path);
  if (it?.isFile() !== true || it.size === 0) return;
  const bytes = readFileSync(path);
  const at = Math.floor(bytes.length / 2);
  bytes.writeUInt8(bytes.readUInt8(at) ^ 0x10, at);
  writeFileSync(path, bytes);
};

const halve = (path: string): void => truncateSync(path, Math.floor(statSync(path).size / 2));

export type Armed = { readonly point: string; readonly fault: Fault };

/**
 * A real folder behind a disk that breaks at one place. It remembers what was not made to survive a power cut: contents by fsync of the
 * file, names by fsync of their folder.
 */
export class FaultyDisk {
  readonly reached = new Set<string>();
  armed: Armed | undefined;
  /** The fault has happened. */
  struck = false;
  dead = false;
  /** How the process ends. */
  die: () => void = () => {
    this.dead = true;
  };
  onClockJump: () => void = () => undefined;
  /** Fails once as well, so that what follows a failure is reached. */
  alsoFails: string | undefined;
  /** Files below such paths cannot be linked. */
  linkless = /$^/;
  readonly #graveyard: string;
  readonly #servers: Server[] = [];
  readonly #handles: FileHandle[] = [];
  /** Names in folders that a power cut takes back, the latest last. */
  #names: { readonly folders: readonly string[]; readonly revert: () => void }[] = [];
  /** Contents that a power cut takes back, by inode. */
  readonly #contents = new Set<number>();
  #isReadOnly = false;
  #buried = 0;

  constructor(graveyard: string) {
    this.#graveyard = graveyard;
  }

  /** Somebody mounted it anew, or changed the disk: no fault from here on. */
  repair(): void {
    this.armed = undefined;
    this.#isReadOnly = false;
  }

  /** Ends the process as a kill or a power cut does. */
  async end(): Promise<void> {
    this.dead = true;
    for (const server of this.#servers) await new Promise((resolve) => server.close(resolve));
    for (const handle of this.#handles) await handle.close();
  }

  /** What had not been made to last is gone, all of it. `root`: below which contents are. */
  losePower(root: string): void {
    for (const { revert } of this.#names.toReversed()) {
      try {
        revert();
      } catch (error) {
        // Its folder, or what it was called before, went with another name.
        if (!['ENOENT', 'ENOTEMPTY', 'EEXIST'].includes(String(errnoOf(error)))) throw error;
      }
    }
    this.#names = [];
    for (const entry of readdirSync(root, { recursive: true, withFileTypes: true })) {
      if (!entry.isFile()) continue;
      const path = join(entry.parentPath, entry.name);
      if (this.#contents.has(statSync(path).ino)) halve(path);
    }
    this.#contents.clear();
  }

  /** Does `work`, which touches `path`, unless the fault is here. `half`: as a write that is torn does it. */
  async at<T>(
    point: string,
    path: string,
    work: () => T | Promise<T>,
    { changes = true, half }: { readonly changes?: boolean; readonly half?: () => unknown } = {},
  ): Promise<T> {
    if (this.dead) throw new Killed();
    this.reached.add(point);
    if (this.alsoFails === point) {
      this.alsoFails = undefined;
      throw errorOf('EIO');
    }
    if (this.#isReadOnly && changes) throw errorOf('EROFS');
    const { armed } = this;
    if (armed?.point !== point) return await work();
    const { fault } = armed;
    if (!fault.endsWith('for-ever') && this.struck) return await work();
    this.struck = true;
    switch (fault) {
      case 'kill':
      case 'kill-for-ever':
      case 'power-cut':
        this.die();
        throw new Killed();
      case 'kill-after':
      case 'power-cut-after':
        try {
          await work();
        } catch (error) {
          // It did not come about: the next time it is there.
          this.struck = false;
          throw error;
        }
        this.die();
        throw new Killed();
      case 'torn':
        await half?.();
        this.die();
        throw new Killed();
      case 'ENOSPC':
        throw errorOf('ENOSPC');
      case 'EIO':
      case 'EIO-for-ever':
        throw errorOf('EIO');
      case 'read-only':
        this.#isReadOnly = true;
        if (changes) throw errorOf('EROFS');
        return await work();
      case 'removed-folder':
        if (existsSync(dirname(path))) remove(realpathSync(dirname(path)));
        return await work();
      case 'clock-jump':
        this.onClockJump();
        return await work();
      case 'flipped': {
        if (/hash$|read/.test(point)) flip(path);
        const done = await work();
        flip(path);
        return done;
      }
    }
  }

  #written(path: string): void {
    const it = found(path);
    if (it?.isFile() === true) this.#contents.add(it.ino);
  }

  /** A name came or went in a folder. */
  #named(path: string, revert: () => void, from = path): void {
    // The lock, by an open folder: a name for this process alone.
    if (path.startsWith('/proc/')) return;
    this.#names.push({ folders: [dirname(path), dirname(from)], revert });
  }

  #grave(): string {
    this.#buried += 1;
    return join(this.#graveyard, String(this.#buried));
  }

  #create(path: string, work: () => void): void {
    const isNew = !existsSync(path);
    work();
    if (isNew) this.#named(path, () => remove(path));
  }

  #write(path: string, bytes: Uint8Array, flag = 'w'): void {
    this.#create(path, () => writeFileSync(path, bytes, { flag }));
    this.#written(path);
  }

  /** As `WriteBlob` does it: some bytes to a file. */
  async writeBlob(point: string, path: string, bytes: Uint8Array): Promise<void> {
    await this.at(point, path, () => this.#write(path, bytes), {
      half: () => this.#write(path, bytes.subarray(0, bytes.length / 2)),
    });
  }

  readonly files: Files = {
    open: (at, path) =>
      this.at(
        at,
        path,
        async () => {
          const handle = await nodeFiles.open(at, path);
          this.#handles.push(handle);
          return handle;
        },
        { changes: false },
      ),
    readFile: (at, path) => this.at(at, path, () => readFileSync(path), { changes: false }),
    names: (at, path) => this.at(at, path, () => readdirSync(path), { changes: false }),
    entries: (at, path, { recursive } = { recursive: false }) =>
      this.at(at, path, () => readdirSync(path, { withFileTypes: true, recursive }), { changes: false }),
    stat: (at, path) => this.at(at, path, () => statSync(path), { changes: false }),
    writeFile: (at, path, data, isNew) => {
      const bytes = Buffer.from(data);
      const flag = isNew === undefined ? 'w' : 'wx';
      return this.at(at, path, () => this.#write(path, bytes, flag), {
        half: () => this.#write(path, bytes.subarray(0, bytes.length / 2), flag),
      });
    },
    sync: (at, path) =>
      this.at(at, path, () => {
        // No fsync: the folder is in memory, and what would have survived is remembered here.
        this.#contents.delete(statSync(path).ino);
        this.#names = this.#names.filter(({ folders }) => !folders.includes(path));
      }),
    rename: (at, from, to) =>
      this.at(at, to, () => {
        const before = found(to)?.isFile() === true ? this.#grave() : undefined;
        if (before !== undefined) linkSync(to, before);
        renameSync(from, to);
        // Of both folders or of none, as a journal has it.
        const back = (): void => {
          renameSync(to, from);
          if (before !== undefined) renameSync(before, to);
        };
        this.#named(to, back, from);
      }),
    link: (at, from, to) =>
      this.at(at, to, () => {
        if (this.linkless.test(to)) throw errorOf('EXDEV');
        this.#create(to, () => linkSync(from, to));
      }),
    copy: (at, from, to) => {
      const copy = (): void => {
        this.#create(to, () => copyFileSync(from, to, constants.COPYFILE_EXCL));
        this.#written(to);
      };
      return this.at(at, to, copy, {
        half: () => {
          copy();
          halve(to);
        },
      });
    },
    mkdir: (at, folder) =>
      this.at(at, join(folder, 'x'), () => {
        const first = mkdirSync(folder, { recursive: true });
        if (first !== undefined) this.#named(first, () => remove(first));
      }),
    remove: (at, path) =>
      this.at(at, path, () => {
        const it = found(path);
        if (it === undefined || it.isSocket()) {
          remove(path);
          return;
        }
        const grave = this.#grave();
        renameSync(path, grave);
        this.#named(path, () => renameSync(grave, path));
      }),
    listen: (at, socket, onClient) =>
      this.at(at, socket, async () => {
        const server = await nodeFiles.listen(at, socket, onClient);
        this.#servers.push(server);
        return server;
      }),
  };

  /** Hashes and unpacks in this process. */
  readonly thread: DiskThread = {
    hash: (path, signal, at) =>
      this.at(
        at ?? 'unnamed',
        path,
        () => {
          signal.throwIfAborted();
          const bytes = readFileSync(path);
          const hex = createHash('sha256').update(bytes).digest('hex');
          return { digest: `sha256:${hex}` as Digest, size: bytes.length };
        },
        { changes: false },
      ),
    heard: () => ({ [Symbol.dispose]: () => undefined }),
    weights: () => Promise.reject(new Error('nothing is packed here')),
    extractImage: () => Promise.reject(new Error('there are no images here')),
    rebuild: () => Promise.reject(new Error('there are no deltas here')),
    extract: (input) =>
      this.at('adapter.unpack', join(input.target, 'x'), () => extract(input), {
        half: async () => {
          await extract(input);
          for (const entry of readdirSync(input.target, { recursive: true, withFileTypes: true }))
            if (entry.isFile()) halve(join(entry.parentPath, entry.name));
        },
      }),
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
}
