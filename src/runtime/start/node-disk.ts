import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { DiskBudget, type Within } from '../../artifact/disk-budget.ts';
import { errnoOf } from '../../errors/errno.ts';
import type { Log } from '../../telemetry/log.ts';
import type { Settings } from '../config/settings.ts';
import type { DiskMarks } from '../residency/core.ts';

/** Above this share of its budget the disk is tidied up in the background, down to the other one. */
const highMark = 0.9;
const lowMark = 0.8;

/** Below the data folder, what is prepared of the encoder of classifiers. */
export const classifierBase = 'classifier-base';

/** Nothing, where it went meanwhile. */
const unlessGone = async <T>(reading: Promise<T>): Promise<T | undefined> => {
  try {
    return await reading;
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return undefined;
    throw error;
  }
};

/** Bytes of the files below a folder. */
const bytesBelow = async (folder: string): Promise<number> => {
  let bytes = 0;
  for (const entry of (await unlessGone(readdir(folder, { withFileTypes: true }))) ?? []) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) bytes += await bytesBelow(path);
    else if (entry.isFile()) bytes += (await unlessGone(stat(path)))?.size ?? 0;
  }
  return bytes;
};

/**
 * What a runtime takes of its disk: artifacts of adapters and their compiled files, base models, and what the engine prepared of them.
 * All of it is in one budget, `--disk`; `--adapter-disk` and `--model-disk` are parts of it.
 */
export class NodeDisk {
  readonly whole: DiskBudget;
  readonly #adapterBytes: number;
  /** Folders. */
  readonly #prepared: readonly string[];
  readonly #log: Pick<Log, 'warn'>;
  #preparedBytes = 0;
  #dropLeftovers: () => Promise<void> = () => Promise.resolve();
  #freeAdapters: (bytes: number) => Promise<void> = () => Promise.resolve();

  constructor(
    {
      disk,
      adapterDisk,
      modelDisk,
      dataDir,
    }: Pick<Settings, 'disk' | 'adapterDisk' | 'modelDisk' | 'dataDir'>,
    log: Pick<Log, 'warn'>,
  ) {
    this.#log = log;
    this.whole = new DiskBudget(disk ?? adapterDisk + modelDisk);
    this.#adapterBytes = Math.min(adapterDisk, this.whole.limit);
    this.#prepared = [join(dataDir, 'base'), join(dataDir, classifierBase)];
  }

  /** What base models need: left-overs of adapters, and those that are there for requests alone, make room. */
  get models(): Within {
    return {
      whole: this.whole,
      makeRoom: async (bytes) => {
        if (bytes > this.whole.free) await this.#dropLeftovers();
        await this.#freeAdapters(bytes - this.whole.free);
      },
    };
  }

  get adapters(): Within {
    return { whole: this.whole };
  }

  /** Of adapters: of their part, or less where the rest of the node takes of it. */
  marks({ used }: DiskBudget): DiskMarks {
    const others = this.whole.used - used;
    const limit = Math.min(this.#adapterBytes, Math.max(0, this.whole.limit - others));
    return { usedBytes: used, highBytes: limit * highMark, lowBytes: limit * lowMark };
  }

  /** Who drops what broke off, and what was set aside, of adapters. */
  onLeftovers(drop: () => Promise<void>): void {
    this.#dropLeftovers = drop;
  }

  /** Who makes room of what is there for requests alone. */
  onShort(freeAdapters: (bytes: number) => Promise<void>): void {
    this.#freeAdapters = freeAdapters;
  }

  /** Counts what engines prepared of the base model and of the encoder of classifiers: they write what `whole` has room for, and remove what is old. */
  async countPrepared(): Promise<void> {
    try {
      let bytes = 0;
      for (const folder of this.#prepared) bytes += await bytesBelow(folder);
      this.whole.count(bytes - this.#preparedBytes);
      this.#preparedBytes = bytes;
    } catch (error) {
      this.#log.warn({ err: error }, 'what is prepared of the base model could not be counted');
    }
  }
}
