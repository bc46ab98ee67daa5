import type { ExternalWeight } from '../onnx/external-weights.ts';
import { type FileMapping, mapFile, reserveLarge } from './libc.ts';
import { cpuMemory, type Handle, ort } from './library.ts';
import type { Products, StoredProduct } from './operator.ts';

/** Weights that are packed: the names of what they are, and their own. */
export type NamedProduct = Pick<StoredProduct, 'inFeatures' | 'outFeatures' | 'bits' | 'block'> & {
  readonly name: string;
  readonly values: string;
  readonly scales: string;
  readonly zeros?: string;
};

/** Kernels load with vectors of up to 64 bytes. */
const alignment = 64;
/** TensorProto.DataType. */
const uint8 = 2;

/** Path of a file that a graph names. */
export type PathOf = (location: string) => string;

/**
 * The weights of a base model for all sessions of this process: their files are mapped once, and what a kernel packs of them
 * it packs once.
 *
 * Assumes that sessions over it are made while none of them runs: each kernel that finds its packed weights here finishes
 * them once more, with the same bytes. Guarantees nothing once it is released: release its sessions first.
 */
export class MappedWeights {
  readonly container: Handle;
  /** A tensor for each initialiser, by its name. */
  readonly values: ReadonlyMap<string, Handle>;
  readonly #values: Map<string, Handle>;
  readonly #files: ReadonlyMap<string, FileMapping>;
  #packed: ReturnType<typeof reserveLarge> | undefined;

  private constructor(files: ReadonlyMap<string, FileMapping>, values: Map<string, Handle>) {
    this.container = ort.get('CreatePrepackedWeightsContainer');
    this.#files = files;
    this.#values = values;
    this.values = values;
  }

  /** @throws Error when a file cannot be mapped, or is shorter than the graph says */
  static open(weights: readonly ExternalWeight[], pathOf: PathOf): MappedWeights {
    const files = new Map<string, FileMapping>();
    const values = new Map<string, Handle>();
    try {
      for (const { name, dataType, dims, place } of weights) {
        const file = files.get(place.location) ?? mapFile(pathOf(place.location));
        files.set(place.location, file);
        const { offset, length = file.bytes - offset } = place;
        if (length < 0 || offset + length > file.bytes)
          throw new Error(
            `${place.location} has ${file.bytes} bytes, ${name} is at ${offset} with ${Math.max(length, 0)}`,
          );
        values.set(name, tensorAt(file.address + BigInt(offset), length, dims, dataType));
      }
      return new MappedWeights(files, values);
    } catch (error) {
      freeAll(files, values);
      throw error;
    }
  }

  /**
   * Packs weights for products of the native operator, and has them as further values: all of them, or none. Once at most, and
   * before there are sessions.
   * @throws RangeError; Error
   */
  async pack(all: readonly NamedProduct[], products: Pick<Products, 'bytesOf' | 'pack'>): Promise<void> {
    if (this.#packed !== undefined) throw new Error('these weights are packed already');
    const bytes = all.map((product) => Math.ceil(products.bytesOf(product) / alignment) * alignment);
    this.#packed = reserveLarge(bytes.reduce((sum, each) => sum + each, 0));
    let { address } = this.#packed;
    const values = new Map<string, Handle>();
    try {
      for (const [at, product] of all.entries()) {
        const stored = {
          ...product,
          values: this.#at(product.values),
          scales: this.#at(product.scales),
          zeros: this.#at(product.zeros),
        };
        await products.pack(stored, address);
        const length = products.bytesOf(product);
        values.set(product.name, tensorAt(address, length, [length], uint8));
        address += BigInt(bytes[at] ?? 0);
      }
    } catch (error) {
      freeAll(new Map(), values);
      this.#packed.release();
      this.#packed = undefined;
      throw error;
    }
    for (const [name, value] of values) this.#values.set(name, value);
  }

  #at(name: string | undefined): Handle {
    if (name === undefined) return 0n;
    const value = this.#values.get(name);
    if (value === undefined) throw new Error(`${name} lies in no file`);
    return ort.get('GetTensorMutableData', value);
  }

  /**
   * Takes the pages of the files out of the memory of this process. Packing read all of them, and few are needed again: those
   * come back from the page cache.
   */
  settle(): void {
    for (const file of this.#files.values()) file.forget();
  }

  release(): void {
    ort.release('PrepackedWeightsContainer', this.container);
    freeAll(this.#files, this.values);
    this.#packed?.release();
  }
}

const tensorAt = (address: Handle, bytes: number, dims: readonly number[], type: number): Handle =>
  ort.get(
    'CreateTensorWithDataAsOrtValue',
    cpuMemory,
    address,
    bytes,
    BigInt64Array.from(dims.map(BigInt)),
    dims.length,
    type,
  );

const freeAll = (files: ReadonlyMap<string, FileMapping>, values: ReadonlyMap<string, Handle>): void => {
  for (const value of values.values()) ort.release('Value', value);
  for (const file of files.values()) file.close();
};
