import { AdaptletError } from '../../../errors/adaptlet-error.ts';
import { discard, preferPages } from '../ort/libc.ts';
import { NativeMemory } from '../ort/memory.ts';

/** Bytes that every block begins at a multiple of. */
const alignment = 64;
/** Room for the rounding of blocks, so that files that fill a budget to the byte fit. */
const slack = 1 << 20;

/** Only whole pages can be given back. */
const pageBytes = 4096n;

/** A part of the arena. It can move while no step runs; the owner is told. */
export type Block = { readonly offset: number; readonly bytes: number };

type Place = { offset: number; readonly bytes: number; readonly size: number; readonly moved: () => void };

const roundUp = (bytes: number): number => Math.ceil(bytes / alignment) * alignment;

/**
 * The memory for adapters: one buffer for all of them, because getting fresh memory costs more than reading the file
 * into it. Pages count for the process once they were used.
 *
 * Assumes that calls come between steps. A block that was freed must not be read again.
 */
export class Arena {
  readonly #memory: NativeMemory;
  /** In order of their offsets. */
  readonly #places: Place[] = [];
  #givesBack = false;

  constructor(budgetBytes: number) {
    this.#memory = new NativeMemory(roundUp(budgetBytes) + slack, { large: true });
  }

  /** True: what is free now, and what becomes free, goes back to the system. Else it stays for the next blocks. */
  set givesBack(givesBack: boolean) {
    this.#givesBack = givesBack;
    preferPages(this.address, this.#memory.bytes, givesBack ? 'small' : 'large');
    if (givesBack) this.#giveBack();
  }

  get buffer(): ArrayBuffer {
    return this.#memory.buffer;
  }

  /** Of the first byte. */
  get address(): bigint {
    return this.#memory.address;
  }

  get usedBytes(): number {
    return this.#places.reduce((sum, place) => sum + place.bytes, 0);
  }

  /**
   * The first gap that is large enough; when only all gaps together are, blocks move down until one is. `moved` is
   * called after the block moved.
   * @throws ADAPTER_MEMORY_FULL with the numbers
   */
  allocate(bytes: number, moved: () => void): Block {
    const size = roundUp(bytes);
    const place = { offset: 0, bytes, size, moved };
    const index = this.#gapFor(size) ?? this.#compact(size);
    if (index === undefined) {
      const free = this.buffer.byteLength - this.#places.reduce((sum, other) => sum + other.size, 0);
      throw new AdaptletError(
        'ADAPTER_MEMORY_FULL',
        `${bytes} bytes are needed, ${Math.max(0, free - slack)} of ${this.buffer.byteLength - slack} are free`,
      );
    }
    place.offset = this.#endBefore(index);
    this.#places.splice(index, 0, place);
    return place;
  }

  free(block: Block): void {
    const index = this.#places.findIndex((place) => place === block);
    if (index < 0) throw new AdaptletError('INTERNAL', `The arena has no block at ${block.offset}`);
    this.#places.splice(index, 1);
    if (this.#givesBack) this.#giveBack();
  }

  /** The pages of all gaps. */
  #giveBack(): void {
    for (let index = 0; index <= this.#places.length; index += 1) {
      const first = this.#pageOf(this.#endBefore(index) + Number(pageBytes) - 1);
      const last = this.#pageOf(this.#endBefore(index) + this.#gapBefore(index));
      if (last > first) discard(first, Number(last - first));
    }
  }

  /** Address of the page that has an offset. */
  #pageOf(offset: number): bigint {
    return ((this.address + BigInt(offset)) / pageBytes) * pageBytes;
  }

  /** Where the block ends that is before the gap `index`. */
  #endBefore(index: number): number {
    const before = this.#places[index - 1];
    return before === undefined ? 0 : before.offset + before.size;
  }

  #gapBefore(index: number): number {
    return (this.#places[index]?.offset ?? this.buffer.byteLength) - this.#endBefore(index);
  }

  #gapFor(size: number): number | undefined {
    for (let index = 0; index <= this.#places.length; index += 1) {
      if (this.#gapBefore(index) >= size) return index;
    }
    return undefined;
  }

  /** Moves blocks down, lowest first, and stops at the first gap that is large enough. */
  #compact(size: number): number | undefined {
    const held = this.#places.reduce((sum, place) => sum + place.size, 0);
    if (this.buffer.byteLength - held < size) return undefined;
    const bytes = new Uint8Array(this.buffer);
    for (const [index, place] of this.#places.entries()) {
      const target = this.#endBefore(index);
      if (place.offset !== target) {
        bytes.copyWithin(target, place.offset, place.offset + place.bytes);
        place.offset = target;
        place.moved();
      }
      if (this.#gapBefore(index + 1) >= size) return index + 1;
    }
    return undefined;
  }
}
