import type { ElementType } from '../tasks.ts';
import { cpuMemory, type Handle, ort } from './library.ts';
import { NativeMemory } from './memory.ts';

/** ONNXTensorElementDataType, and bytes per element, of the types that are fed or read here. */
const elementTypes = {
  float32: { code: 1, bytes: 4 },
  uint8: { code: 2, bytes: 1 },
  int8: { code: 3, bytes: 1 },
  uint16: { code: 4, bytes: 2 },
  int16: { code: 5, bytes: 2 },
  int32: { code: 6, bytes: 4 },
  int64: { code: 7, bytes: 8 },
  bool: { code: 9, bytes: 1 },
  float16: { code: 10, bytes: 2 },
  float64: { code: 11, bytes: 8 },
  uint32: { code: 12, bytes: 4 },
  uint64: { code: 13, bytes: 8 },
} as const satisfies Record<ElementType, { readonly code: number; readonly bytes: number }>;

export const elementBytes = (type: ElementType): number => elementTypes[type].bytes;

/** The element type of an ONNX code; undefined for those that are not handled here, such as strings. */
export const elementTypeOf = (code: number): ElementType | undefined =>
  (Object.keys(elementTypes) as ElementType[]).find((type) => elementTypes[type].code === code);

export const elementsOf = (shape: readonly number[]): number =>
  shape.reduce((product, size) => product * size, 1);

/** Where sizes of dimensions are handed over: ONNX Runtime copies them before it returns. */
const maxRank = 8;
const handedOver = new NativeMemory(maxRank * BigInt64Array.BYTES_PER_ELEMENT);
const sizes = new BigInt64Array(handedOver.buffer);

/**
 * The sizes in memory that is there already. A list of its own for each tensor, of which an adapter has hundreds, would
 * leave as many buffers for the garbage collector, which sees 16 bytes in each and does not hurry.
 */
const dimensionsOf = (shape: readonly number[]): bigint => {
  if (shape.length > maxRank) throw new Error(`a tensor has ${shape.length} dimensions, at most ${maxRank}`);
  for (const [place, size] of shape.entries()) sizes[place] = BigInt(size);
  return handedOver.address;
};

/**
 * A tensor over memory that someone else owns and keeps for as long as the tensor is used. Release it once no run uses
 * it.
 */
export class OrtTensor {
  readonly type: ElementType;
  readonly shape: readonly number[];
  /** Of the first element. */
  readonly address: bigint;
  #value: Handle | undefined;

  /** @throws OnnxRuntimeError for a negative dimension */
  constructor(type: ElementType, shape: readonly number[], address: bigint) {
    this.type = type;
    this.shape = shape;
    this.address = address;
    const bytes = elementsOf(shape) * elementBytes(type);
    const { code } = elementTypes[type];
    this.#value = ort.get(
      'CreateTensorWithDataAsOrtValue',
      cpuMemory,
      address,
      bytes,
      dimensionsOf(shape),
      shape.length,
      code,
    );
  }

  get value(): Handle {
    if (this.#value === undefined) throw new Error('the tensor was released before');
    return this.#value;
  }

  release(): void {
    ort.release('Value', this.value);
    this.#value = undefined;
  }
}
