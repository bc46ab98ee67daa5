import { readdir, readFile, rename, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import type { z } from 'zod';
import { checked, withChecksum } from '../../disk/checked.ts';
import { writeDurable } from '../../disk/durable.ts';
import { AdaptletError } from '../../errors/adaptlet-error.ts';
import { errnoOf } from '../../errors/errno.ts';

export type StateRead<T> =
  | { readonly kind: 'value'; readonly value: T }
  | { readonly kind: 'absent' }
  /** Torn, corrupt, on a bad sector or of another version: it was renamed to `setAside`, the runtime goes on without it. */
  | { readonly kind: 'setAside'; readonly setAside: string; readonly reason: string };

/** A worn disk must not keep a node from starting; what only needs other permissions is not lost. */
export const isUnreadable = (error: unknown): boolean => {
  const errno = errnoOf(error);
  return errno !== undefined && errno !== 'EIO' && errno !== 'EISDIR';
};

export const unreadable = (path: string, why: string, cause: unknown): AdaptletError =>
  new AdaptletError('CONFIG_INVALID', `--data-dir: ${path} cannot be read: ${why}`, {
    advice: 'Let the process read and write its data folder.',
    cause,
  });

/**
 * One piece of what a runtime remembers: a JSON file that is replaced in one step and checked when it is read.
 * Writes run one after the other; of several that wait only the newest is written.
 */
export class StateFile<T, Written = T> {
  readonly #path: string;
  readonly #schema: z.ZodType<T>;
  #isWriting = false;
  #next: { value: Written; done: PromiseWithResolvers<void> } | undefined;

  constructor(path: string, schema: z.ZodType<T>) {
    this.#path = path;
    this.#schema = schema;
  }

  /** Reads what an earlier process wrote, and clears away what it could not finish. */
  async read(): Promise<StateRead<T>> {
    try {
      await this.#removeUnfinished();
      const text = await readFile(this.#path, 'utf8');
      return { kind: 'value', value: this.#schema.parse(checked(text)) };
    } catch (error) {
      const errno = errnoOf(error);
      if (errno === 'ENOENT') return { kind: 'absent' };
      const why = error instanceof Error ? error.message : String(error);
      if (isUnreadable(error)) throw unreadable(this.#path, why, error);
      const setAside = `${this.#path}.bad`;
      await rename(this.#path, setAside);
      return { kind: 'setAside', setAside, reason: `${basename(this.#path)}: ${why}` };
    }
  }

  /** Resolves when this value, or a newer one, is on the disk. */
  write(value: Written): Promise<void> {
    this.#next ??= { value, done: Promise.withResolvers<void>() };
    this.#next.value = value;
    const { promise } = this.#next.done;
    if (!this.#isWriting) void this.#drain();
    return promise;
  }

  async #removeUnfinished(): Promise<void> {
    const folder = dirname(this.#path);
    const unfinished = (await readdir(folder)).filter(
      (name) => name.startsWith(`${basename(this.#path)}.`) && name.endsWith('.tmp'),
    );
    await Promise.all(unfinished.map((name) => rm(join(folder, name), { force: true })));
  }

  async #drain(): Promise<void> {
    this.#isWriting = true;
    while (this.#next !== undefined) {
      const { value, done } = this.#next;
      this.#next = undefined;
      try {
        await writeDurable(this.#path, withChecksum(value));
        done.resolve();
      } catch (error) {
        done.reject(error);
      }
    }
    this.#isWriting = false;
  }
}
