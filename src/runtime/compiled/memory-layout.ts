import { type CompiledTensor, tensorAlignment } from './compiled-file.ts';

/** What of a tensor decides where it goes. */
type Extent = Pick<CompiledTensor, 'shape' | 'offset' | 'length'>;

/** How weights are in memory: as they are stored, for the native operator; widened, for graphs of ordinary operators. */
export type WeightsInMemory = 'stored' | 'float32';

/** A tensor, and where its values, or its scales before them, begin in the block. */
export type Place<T extends Extent = CompiledTensor> = { readonly tensor: T; readonly at: number };

/** How an adapter lies in its block of memory. All offsets in bytes from the start of the block. */
export type MemoryLayout<T extends Extent = CompiledTensor> = {
  readonly weights: WeightsInMemory;
  readonly bytes: number;
  /** In the order of the file. */
  readonly places: readonly Place<T>[];
  /** Where the part of the file from its first tensor on is read to. */
  readonly readAt: number;
  /** Bytes of that part, and where it begins in the file. */
  readonly readBytes: number;
  readonly fileStart: number;
};

const align = (bytes: number): number => Math.ceil(bytes / tensorAlignment) * tensorAlignment;

const fileOrder = <T extends Extent>(tensors: readonly T[]) => {
  const inFile = tensors.toSorted((x, y) => x.offset - y.offset);
  return { inFile, fileStart: inFile[0]?.offset ?? 0 };
};

/** The file as it is. */
const storedLayout = <T extends Extent>(tensors: readonly T[]): MemoryLayout<T> => {
  const { inFile, fileStart } = fileOrder(tensors);
  const places = inFile.map((tensor) => ({ tensor, at: tensor.offset - fileStart }));
  const bytes = Math.max(0, ...places.map(({ tensor, at }) => at + tensor.length));
  return { weights: 'stored', bytes, places, readAt: 0, readBytes: bytes, fileStart };
};

/**
 * Lays out a block in which the file is widened in place: it is read to the end of the block, and the float32 values
 * grow from the front. The block is as large as it takes for no value to be written over bytes that were not widened:
 * each tensor ends in memory before it ends in what was read. Nothing but the block is needed, and a file that is
 * float32 already is read to where it stays.
 */
const widenedLayout = <T extends Extent>(tensors: readonly T[]): MemoryLayout<T> => {
  const { inFile, fileStart } = fileOrder(tensors);
  const places: Place<T>[] = [];
  let end = 0;
  let fileEnd = 0;
  let lead = 0;
  for (const tensor of inFile) {
    const at = align(end);
    places.push({ tensor, at });
    end = at + tensor.shape[0] * tensor.shape[1] * Float32Array.BYTES_PER_ELEMENT;
    fileEnd = tensor.offset + tensor.length - fileStart;
    lead = Math.max(lead, end - fileEnd);
  }
  const readAt = align(lead);
  return { weights: 'float32', bytes: readAt + fileEnd, places, readAt, readBytes: fileEnd, fileStart };
};

export const memoryLayout = <T extends Extent>(
  tensors: readonly T[],
  weights: WeightsInMemory,
): MemoryLayout<T> => (weights === 'stored' ? storedLayout(tensors) : widenedLayout(tensors));
