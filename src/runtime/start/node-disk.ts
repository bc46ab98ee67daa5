import { join } from 'node:path';
import { DiskBudget, type Within } from '../../artifact/disk-budget.ts';
import { bytesBelow } from '../../disk/bytes-below.ts';
import type { Log } from '../../telemetry/log.ts';
import type { Settings } from '../config/settings.ts';
import type { Engine } from '../engine/engine.ts';
import type { DiskMarks } from '../residency/core.ts';

/** Above this share of its budget the disk is tidied up in the background, down to the other one. */
const highMark = 0.9;
const lowMark = 0.8;

/** Below the data folder, what is prepared of the base model, and of the encoder of classifiers. */
export const baseFolder = 'base';
export const classifierBase = 'classifier-base';

/**
 * What a runtime takes of its disk: artifacts of adapters and their compiled files, base models, and what the engine prepared of them.
 * All of it is in one budget, `--disk`; `--adapter-disk` and `--model-disk` are parts of it.
 */
export class NodeDisk {
  readonly whole: DiskBudget;
  readonly #adapterBytes: number;
  /** Bytes by folder, as they were counted. */
  readonly #prepared: Map<string, number>;
  readonly #log: Pick<Log, 'warn'>;
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
    this.#prepared = new Map([baseFolder, classifierBase].map((name) => [join(dataDir, name), 0]));
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

  #countedOf(folder: string): number {
    return this.#prepared.get(folder) ?? 0;
  }

  /** Bytes that one of the folders of what is prepared may have: what is there gives way to what replaces it. */
  preparedRoom(folder: string): number {
    return this.whole.freeWithout(this.#countedOf(folder));
  }

  /** Counts it each time that this engine is ready: one that is started again may have prepared anew, and removed what is old. */
  countWhenReady(engine: Pick<Engine, 'onState'>): void {
    engine.onState((state) => {
      // It says itself that it failed.
      if (state === 'ready') void this.countPrepared();
    });
  }

  /** Counts what engines prepared of the base model and of the encoder of classifiers: they write what {@link preparedRoom} allows, and remove what is old. */
  async countPrepared(): Promise<void> {
    try {
      for (const folder of this.#prepared.keys()) {
        const bytes = await bytesBelow(folder);
        this.whole.count(bytes - this.#countedOf(folder));
        this.#prepared.set(folder, bytes);
      }
    } catch (error) {
      this.#log.warn({ err: error }, 'what is prepared of the base model could not be counted');
    }
  }
}
