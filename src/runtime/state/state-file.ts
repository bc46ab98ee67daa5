import { readFile, rename } from 'node:fs/promises';
import { basename } from 'node:path';
import { crc32 } from 'node:zlib';
import { z } from 'zod';
import { writeDurable } from '../../disk/durable.ts';

const envelope = z.object({ format: z.literal(1), crc32: z.int(), body: z.string() });

export type StateRead<T> =
  | { readonly kind: 'value'; readonly value: T }
  | { readonly kind: 'absent' }
  /** The file was torn, corrupt or of another version; it was renamed to `setAside` and the runtime goes on without it. */
  | { readonly kind: 'setAside'; readonly setAside: string; readonly reason: string };

/**
 * One piece of what a runtime remembers: a JSON file that is replaced in one step and checked when it is read.
 * Writes run one after the other; of several that wait only the newest is written.
 */
export class StateFile<T> {
  readonly #path: string;
  readonly #schema: z.ZodType<T>;
  #isWriting = false;
  #next: { value: T; done: PromiseWithResolvers<void> } | undefined;

  constructor(path: string, schema: z.ZodType<T>) {
    this.#path = path;
    this.#schema = schema;
  }

  async read(): Promise<StateRead<T>> {
    let text: string;
    try {
      text = await readFile(this.#path, 'utf8');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return { kind: 'absent' };
      throw error;
    }
    try {
      const { body, crc32: expected } = envelope.parse(JSON.parse(text));
      if (crc32(body) !== expected) throw new Error('its checksum does not match');
      return { kind: 'value', value: this.#schema.parse(JSON.parse(body)) };
    } catch (error) {
      const setAside = `${this.#path}.bad`;
      await rename(this.#path, setAside);
      const reason = error instanceof Error ? error.message : String(error);
      return { kind: 'setAside', setAside, reason: `${basename(this.#path)}: ${reason}` };
    }
  }

  /** Resolves when this value, or a newer one, is on the disk. */
  write(value: T): Promise<void> {
    this.#next ??= { value, done: Promise.withResolvers<void>() };
    this.#next.value = value;
    const { promise } = this.#next.done;
    if (!this.#isWriting) void this.#drain();
    return promise;
  }

  async #drain(): Promise<void> {
    this.#isWriting = true;
    while (this.#next !== undefined) {
      const { value, done } = this.#next;
      this.#next = undefined;
      const body = JSON.stringify(value);
      try {
        await writeDurable(this.#path, JSON.stringify({ format: 1, crc32: crc32(body), body }));
        done.resolve();
      } catch (error) {
        done.reject(error);
      }
    }
    this.#isWriting = false;
  }
}
