import type { Instance } from './instance.ts';

/** A spare one may be larger by that than what it becomes: all of it counts for what it becomes. */
const mostTooLarge = 4 << 20;

/**
 * Instances that were grammars, for grammars that come. V8 counts a new instance as so much memory that it collects its whole heap for every
 * few of them, on the thread of steps.
 */
export class Spares {
  readonly #instances = new Set<Instance>();

  get bytes(): number {
    return this.#instances.values().reduce((sum, { bytes }) => sum + bytes, 0);
  }

  /** Nobody else has it any more. */
  add(instance: Instance): void {
    this.#instances.add(instance);
  }

  /** The smallest one that became what this memory is, and grew by `room` bytes at most for that; undefined where none fits. */
  become(memory: Uint8Array, room: number): Instance | undefined {
    const [least, largest] = [memory.length - room, memory.length + mostTooLarge];
    const [fits] = this.#instances
      .values()
      .filter(({ bytes }) => room >= 0 && bytes >= least && bytes <= largest)
      .toArray()
      .sort((a, b) => a.bytes - b.bytes);
    if (fits === undefined) return undefined;
    this.#instances.delete(fits);
    fits.become(memory);
    return fits;
  }

  /** The oldest one goes. False where there is none. */
  drop(): boolean {
    const [oldest] = this.#instances;
    return oldest !== undefined && this.#instances.delete(oldest);
  }

  clear(): void {
    this.#instances.clear();
  }
}
