import { AdaptletError } from '../../../errors/adaptlet-error.ts';
import { NativeMemory } from '../ort/memory.ts';
import { elementBytes, OrtTensor } from '../ort/tensor.ts';

/** How a graph stores keys and values. */
export type KvElement = 'float32' | 'int8';

/** Keys or values of one layer: [1, kvHeads, tokens, headSize]. */
export type CacheShape = {
  /** Tensors: keys and values of every layer. */
  readonly entries: number;
  readonly kvHeads: number;
  readonly headSize: number;
  readonly element: KvElement;
};

/**
 * Keys and values of one sequence, with room for `capacity` tokens. Memory of tokens that have not come yet is not used.
 * Release it when the sequence is over, between steps.
 */
export type KvCache = {
  readonly length: number;
  readonly capacity: number;
  /**
   * What a step feeds and fills that ends at `total` tokens.
   * @throws INTERNAL above the capacity
   */
  step(total: number): { readonly past: readonly OrtTensor[]; readonly present: readonly OrtTensor[] };
  /** The step went well: the cache holds `total` tokens. */
  advance(total: number): void;
  release(): void;
};

/** Bytes of one token of one head of one layer, keys or values. */
export const headTokenBytes = ({ headSize, element }: CacheShape): number => headSize * elementBytes(element);

const entryBytes = (shape: CacheShape, tokens: number): number =>
  shape.kvHeads * tokens * headTokenBytes(shape);

/** Bytes of the keys and values of one token in all layers. */
export const tokenBytes = (shape: CacheShape): number => shape.entries * entryBytes(shape, 1);

const tensorsOver = (
  memory: NativeMemory,
  shape: CacheShape,
  tokens: number,
  room: number,
): readonly OrtTensor[] =>
  Array.from({ length: shape.entries }, (_, entry) => {
    const address = memory.address + BigInt(entry * entryBytes(shape, room));
    return new OrtTensor(shape.element, [1, shape.kvHeads, tokens, shape.headSize], address);
  });

const releaseAll = (tensors: readonly OrtTensor[]): void => {
  for (const tensor of tensors) tensor.release();
};

/** @throws INTERNAL above the capacity */
export const checkRoom = (total: number, capacity: number): void => {
  if (total <= capacity) return;
  throw new AdaptletError(
    'INTERNAL',
    `A step ends at ${total} tokens; its KV cache has room for ${capacity}`,
  );
};

/** For graphs whose attention writes new rows where the old ones are (GroupQueryAttention): nothing is copied. */
export class InPlaceCache implements KvCache {
  readonly capacity: number;
  readonly #memory: NativeMemory;
  readonly #tensors: readonly OrtTensor[];
  #length = 0;

  constructor(shape: CacheShape, capacity: number) {
    this.capacity = capacity;
    this.#memory = new NativeMemory(shape.entries * entryBytes(shape, capacity));
    this.#tensors = tensorsOver(this.#memory, shape, capacity, capacity);
  }

  get length(): number {
    return this.#length;
  }

  step(total: number): { readonly past: readonly OrtTensor[]; readonly present: readonly OrtTensor[] } {
    checkRoom(total, this.capacity);
    return { past: this.#tensors, present: this.#tensors };
  }

  advance(total: number): void {
    this.#length = total;
  }

  release(): void {
    releaseAll(this.#tensors);
    this.#memory.free();
  }
}

/** For graphs that append: every step copies all rows from one side to the other. */
export class AppendingCache implements KvCache {
  readonly capacity: number;
  readonly #shape: CacheShape;
  readonly #sides: readonly [NativeMemory, NativeMemory];
  /** The side that holds the rows. */
  #side: 0 | 1 = 0;
  #length = 0;
  #past: readonly OrtTensor[];
  #present: readonly OrtTensor[] = [];

  constructor(shape: CacheShape, capacity: number) {
    this.capacity = capacity;
    this.#shape = shape;
    const bytes = shape.entries * entryBytes(shape, capacity);
    this.#sides = [new NativeMemory(bytes), new NativeMemory(bytes)];
    this.#past = tensorsOver(this.#sides[0], shape, 0, capacity);
  }

  get length(): number {
    return this.#length;
  }

  step(total: number): { readonly past: readonly OrtTensor[]; readonly present: readonly OrtTensor[] } {
    checkRoom(total, this.capacity);
    // Those of a step that failed.
    releaseAll(this.#present);
    const other = this.#sides[this.#side === 0 ? 1 : 0];
    this.#present = tensorsOver(other, this.#shape, total, this.capacity);
    return { past: this.#past, present: this.#present };
  }

  advance(total: number): void {
    releaseAll(this.#past);
    this.#past = this.#present;
    this.#present = [];
    this.#side = this.#side === 0 ? 1 : 0;
    this.#length = total;
  }

  release(): void {
    releaseAll([...this.#past, ...this.#present]);
    for (const side of this.#sides) side.free();
  }
}
