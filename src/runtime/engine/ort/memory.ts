import koffi from 'koffi';
import { allocate, free, reserveLarge } from './libc.ts';
import { pointersAt } from './library.ts';

/** Fits every instruction set that kernels load with. */
const alignment = 64;

/**
 * Memory outside the heap of JavaScript, whose address stays. Large ones cost no RAM until they are written to.
 *
 * Guarantees: after `free`, views of `buffer` are of length 0; an address that was handed out must not be used any more.
 */
export class NativeMemory {
  readonly address: bigint;
  readonly bytes: number;
  /** Made when it is asked for: V8 takes what it sees for memory of its own, and collects garbage to make room. */
  #view: ArrayBuffer | undefined;
  #freed = false;
  readonly #release: () => void;

  /** `large`: in pages of 2 MiB where there are any, for memory that steps read from end to end. */
  constructor(bytes: number, { large = false } = {}) {
    this.bytes = bytes;
    if (large) {
      const area = reserveLarge(bytes);
      this.address = area.address;
      this.#release = () => area.release();
    } else {
      const address = allocate(Math.max(alignment, bytes), alignment);
      this.address = address;
      this.#release = () => free(address);
    }
  }

  get buffer(): ArrayBuffer {
    this.#checkAlive();
    return (this.#view ??= koffi.view(this.address, this.bytes));
  }

  free(): void {
    this.#checkAlive();
    // Takes the bytes away from every view.
    this.#view?.transfer();
    this.#freed = true;
    this.#release();
  }

  #checkAlive(): void {
    if (this.#freed) throw new Error('the memory was freed before');
  }
}

/** Bytes that C reads to the first zero. */
const cString = (text: string): NativeMemory => {
  const bytes = Buffer.from(`${text}\0`);
  const memory = new NativeMemory(bytes.length);
  new Uint8Array(memory.buffer).set(bytes);
  return memory;
};

/** An array of addresses, as C takes it. */
export class PointerTable {
  readonly #memory: NativeMemory;
  readonly #entries: BigUint64Array;

  constructor(entries: readonly bigint[]) {
    this.#memory = new NativeMemory(entries.length * BigUint64Array.BYTES_PER_ELEMENT);
    this.#entries = new BigUint64Array(this.#memory.buffer);
    this.#entries.set(entries);
  }

  get address(): bigint {
    return this.#memory.address;
  }

  get length(): number {
    return this.#entries.length;
  }

  set(place: number, address: bigint): void {
    this.#entries[place] = address;
  }

  get(place: number): bigint {
    return this.#entries[place] ?? 0n;
  }

  free(): void {
    this.#memory.free();
  }
}

/** An array of C strings. */
export class StringTable {
  readonly #table: PointerTable;
  readonly #strings: readonly NativeMemory[];

  constructor(texts: readonly string[]) {
    this.#strings = texts.map(cString);
    this.#table = new PointerTable(this.#strings.map(({ address }) => address));
  }

  get address(): bigint {
    return this.#table.address;
  }

  get length(): number {
    return this.#table.length;
  }

  free(): void {
    this.#table.free();
    for (const text of this.#strings) text.free();
  }
}

/** Room for addresses that C writes. */
export const readPointers = (count: number, write: (address: bigint) => void): readonly bigint[] => {
  const memory = new NativeMemory(count * BigUint64Array.BYTES_PER_ELEMENT);
  try {
    new Uint8Array(memory.buffer).fill(0);
    write(memory.address);
    return pointersAt(memory.address, count);
  } finally {
    memory.free();
  }
};
