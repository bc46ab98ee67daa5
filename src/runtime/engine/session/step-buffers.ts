import { NativeMemory } from '../ort/memory.ts';
import { elementsOf, OrtTensor } from '../ort/tensor.ts';

/** Numbers that a step feeds, in memory that grows and stays. */
export class Int64Buffer {
  readonly #fill: (index: number) => bigint;
  #memory = new NativeMemory(0);

  /** `fill` says what stands at an index before anything is set. */
  constructor(fill: (index: number) => bigint = () => 0n) {
    this.#fill = fill;
  }

  /** The tensor of what stands from `from` on. Tensors from before may not be used after a larger one was made. */
  tensor(shape: readonly number[], from = 0): OrtTensor {
    const count = elementsOf(shape);
    this.#makeRoom(from + count);
    return new OrtTensor(
      'int64',
      shape,
      this.#memory.address + BigInt(from * BigInt64Array.BYTES_PER_ELEMENT),
    );
  }

  /** A tensor to be filled, and the same memory as numbers. */
  room(shape: readonly number[]): { readonly tensor: OrtTensor; readonly values: BigInt64Array } {
    const tensor = this.tensor(shape);
    return { tensor, values: new BigInt64Array(this.#memory.buffer, 0, elementsOf(shape)) };
  }

  /** The tensor of these values. */
  tensorOf(values: readonly number[], shape: readonly number[]): OrtTensor {
    this.#makeRoom(values.length);
    const room = new BigInt64Array(this.#memory.buffer);
    for (const [index, value] of values.entries()) room[index] = BigInt(value);
    return this.tensor(shape);
  }

  free(): void {
    this.#memory.free();
  }

  #makeRoom(count: number): void {
    if (this.#memory.bytes >= count * BigInt64Array.BYTES_PER_ELEMENT) return;
    this.#memory.free();
    this.#memory = new NativeMemory(2 * count * BigInt64Array.BYTES_PER_ELEMENT);
    const room = new BigInt64Array(this.#memory.buffer);
    for (let index = 0; index < room.length; index += 1) room[index] = this.#fill(index);
  }
}

/** The attention mask of rows of different lengths, in memory that grows and stays. */
export class MaskBuffer {
  readonly #buffer = new Int64Buffer();

  /** [rows, maxLength]: of each row as many ones as it is long, at the beginning or at the end; else zeros. */
  tensor(lengths: readonly number[], side: 'begin' | 'end' = 'begin'): OrtTensor {
    const maxLength = Math.max(...lengths);
    const { tensor, values } = this.#buffer.room([lengths.length, maxLength]);
    values.fill(0n);
    for (const [row, length] of lengths.entries()) {
      const first = row * maxLength + (side === 'begin' ? 0 : maxLength - length);
      values.fill(1n, first, first + length);
    }
    return tensor;
  }

  free(): void {
    this.#buffer.free();
  }
}

/** Room for the logits of a step. */
export class LogitsBuffer {
  #memory = new NativeMemory(0);

  /** The tensor to fill, and the same memory as numbers, of `rows` in place of the first size: valid until the next call. */
  room(
    shape: readonly number[],
    rows = shape[0] ?? 0,
  ): { readonly tensor: OrtTensor; readonly values: Float32Array } {
    const count = rows * elementsOf(shape.slice(1));
    if (this.#memory.bytes < count * Float32Array.BYTES_PER_ELEMENT) {
      this.#memory.free();
      this.#memory = new NativeMemory(count * Float32Array.BYTES_PER_ELEMENT);
    }
    return {
      tensor: new OrtTensor('float32', shape, this.#memory.address),
      values: new Float32Array(this.#memory.buffer, 0, count),
    };
  }

  free(): void {
    this.#memory.free();
  }
}
