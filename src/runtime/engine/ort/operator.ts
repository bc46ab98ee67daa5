import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { arch, platform } from 'node:os';
import { fileURLToPath } from 'node:url';
import koffi, { type KoffiFunc, type LibraryHandle } from 'koffi';

/** The native operator: see native/lora.c. */
export type Operator = {
  readonly path: string;
  /** Of the library: another one may round otherwise. */
  readonly digest: string;
  /** That of this processor which it uses. */
  readonly instructionSet: string;
  /** Absent: this processor has none of the instruction sets that products are made for. */
  readonly products?: Products;
};

/** Of a linear of MatMulNBits: the sizes, and the addresses of its weights. */
export type StoredProduct = {
  readonly inFeatures: number;
  readonly outFeatures: number;
  readonly bits: 4 | 8;
  /** Values of a column that have one scale. */
  readonly block: number;
  readonly values: bigint;
  readonly scales: bigint;
  /** 0n: none. */
  readonly zeros: bigint;
};

/** Products with weights of 4 and 8 bits: see native/linear.c. */
export type Products = {
  /** Instruction sets of this processor that have them, with the same bits. The first one is used, and is the fastest. */
  readonly levels: readonly [string, ...string[]];
  bytesOf(product: Pick<StoredProduct, 'inFeatures' | 'outFeatures' | 'bits'>): number;
  /** Packs weights to an address that has room for them, on another thread. */
  pack(product: StoredProduct, to: bigint): Promise<void>;
};

/** As in native/lora.c: of the table of an adapter, and of the operator's attributes. */
const wantedVersion = 6;

/** A library that was unloaded would leave ONNX Runtime with addresses of nothing. */
const loaded = new Map<string, LibraryHandle>();

/** Where `make native` puts it; images have it below the bundle, by the same path (image/bundle). */
const built = new URL('../../../../native/build/', import.meta.url);

/** The one that was built for this machine, if it was. */
export const builtOperator = (): string =>
  fileURLToPath(new URL(`${platform()}-${arch()}/libadaptlet-lora.so`, built));

const productsOf = (library: LibraryHandle): Products | undefined => {
  const levelAt = library.func('const char *AdaptletProducts(size_t at)') as unknown as (
    at: number,
  ) => string;
  const best = levelAt(0);
  if (best === '') return undefined;
  const levels: [string, ...string[]] = [best];
  for (let level = levelAt(1); level !== ''; level = levelAt(levels.length)) levels.push(level);
  const packedBytes = library.func(
    'size_t AdaptletPackedBytes(size_t in, size_t columns, size_t bits)',
  ) as unknown as (...sizes: number[]) => number;
  const pack = library.func(
    'void AdaptletPack(void *values, void *scales, void *zeros, size_t in, size_t columns, size_t bits, size_t block, void *to)',
  ) as unknown as KoffiFunc<(...args: (bigint | number)[]) => void>;
  return {
    levels,
    bytesOf: ({ inFeatures, outFeatures, bits }) => packedBytes(inFeatures, outFeatures, bits),
    pack: ({ inFeatures, outFeatures, bits, block, values, scales, zeros }, to) =>
      new Promise((resolve, reject) => {
        pack.async(values, scales, zeros, inFeatures, outFeatures, bits, block, to, (cause: unknown) => {
          if (cause === null || cause === undefined) resolve();
          else reject(new Error('weights were not packed', { cause }));
        });
      }),
  };
};

const load = (path: string): Operator => {
  const library = loaded.get(path) ?? koffi.load(path);
  loaded.set(path, library);
  const version = library.func('int AdaptletOperatorVersion()') as unknown as () => number;
  const instructionSet = library.func('const char *AdaptletInstructionSet()') as unknown as () => string;
  if (version() !== wantedVersion)
    throw new Error(`it is of version ${version()}; ${wantedVersion} is needed: build it again`);
  const digest = createHash('sha256').update(readFileSync(path)).digest('hex');
  const products = productsOf(library);
  return {
    path,
    digest,
    instructionSet: instructionSet(),
    ...(products === undefined ? {} : { products }),
  };
};

/**
 * The operator that is wanted: `off`, a path, or `auto`, which is the one that was built, if it was. What is not there, or is not
 * an operator that fits, is told and never stops anything: graphs then take adapters in the portable way.
 */
export const findOperator = (wish: string, warn: (message: string) => void): Operator | undefined => {
  if (wish === 'off') return undefined;
  const path = wish === 'auto' ? builtOperator() : wish;
  if (wish === 'auto' && !existsSync(path)) return undefined;
  try {
    return load(path);
  } catch (error) {
    warn(`the native operator ${path} cannot be used, adapters take the portable way: ${String(error)}`);
    return undefined;
  }
};
