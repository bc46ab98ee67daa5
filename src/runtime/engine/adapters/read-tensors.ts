import { type FileHandle, open } from 'node:fs/promises';
import { setImmediate } from 'node:timers/promises';
import { crc32 } from 'node:zlib';
import { AdaptletError } from '../../../errors/adaptlet-error.ts';
import type { CompiledTensor } from '../../compiled/compiled-file.ts';
import type { MemoryLayout, Place } from '../../compiled/memory-layout.ts';
import { widening } from '../../compiled/widen.ts';

/** Bytes per read: what is there is widened while the next ones come. */
const chunkBytes = 512 << 10;
/**
 * Reads under way at the same time. Each has one of the four threads that Node gives a process, on which steps run as well: these
 * keep some, also while the disk does not answer, and what else is loaded then reads with one.
 */
const depth = 2;
/** Values that are widened before events, and the sampling of running answers, get their turn: about half a millisecond. */
const sliceValues = 1 << 19;

/** Bytes whose checksum takes as long as widening a value. */
const valueBytesPerChecked = 8;

type Block = Uint8Array<ArrayBuffer>;
/** Resolves after whatever else waits on this thread. */
type Pause = () => Promise<unknown>;

const readChunk = async (
  handle: FileHandle,
  file: string,
  { fileStart, readBytes }: MemoryLayout,
  target: Block,
  from: number,
): Promise<number> => {
  const end = Math.min(from + chunkBytes, readBytes);
  for (let at = from; at < end; ) {
    const { bytesRead } = await handle.read(target, at, end - at, fileStart + at);
    if (bytesRead === 0) throw new AdaptletError('COMPILED_FILE_CORRUPT', `${file} ends early`);
    at += bytesRead;
  }
  return end;
};

const checkTensor = (file: string, tensor: CompiledTensor, stored: Uint8Array): void => {
  if (crc32(stored) === tensor.crc32) return;
  throw new AdaptletError(
    'COMPILED_FILE_CORRUPT',
    `${file}: the bytes of ${tensor.module} ${tensor.half} do not match their checksum`,
  );
};

/** Widens tensors in slices, and lets others have their turn between two. */
class Widener {
  readonly #block: Block;
  readonly #pause: Pause;
  #left = sliceValues;

  constructor(block: Block, pause: Pause) {
    this.#block = block;
    this.#pause = pause;
  }

  /** `storedAt`: where in the block the stored bytes begin. */
  async widen({ tensor, at }: Place, storedAt: number): Promise<void> {
    const { dtype, shape } = tensor;
    const { buffer, byteOffset } = this.#block;
    const count = shape[0] * shape[1];
    const inPlace = dtype === 'float32' && at === storedAt;
    const target = new Float32Array(buffer, byteOffset + at, count);
    const widen = inPlace ? undefined : widening(tensor, buffer, byteOffset + storedAt, target);
    for (let from = 0; from < count; ) {
      const to = Math.min(count, from + this.#left);
      widen?.(from, to);
      await this.#spend(to - from);
      from = to;
    }
  }

  /** A tensor that stays as it is: only its checksum took time. */
  async pass({ tensor }: Place): Promise<void> {
    await this.#spend(tensor.length / valueBytesPerChecked);
  }

  async #spend(values: number): Promise<void> {
    this.#left -= values;
    if (this.#left > 0) return;
    await this.#pause();
    this.#left = sliceValues;
  }
}

/**
 * Reads the tensors of a compiled file into their block, compares each with its checksum as soon as it is whole, and, where the
 * layout asks for it, widens it to float32, while the next ones come. Steps can run meanwhile. When it returns or throws, nothing writes to
 * the block any more.
 * @throws COMPILED_FILE_CORRUPT, and those of the file system
 */
export const readTensors = async (
  file: string,
  layout: MemoryLayout,
  block: Block,
  pause: Pause = setImmediate,
): Promise<void> => {
  const { readAt, readBytes, fileStart, places } = layout;
  const stored = block.subarray(readAt, readAt + readBytes);
  const widener = new Widener(block, pause);
  await using handle = await open(file, 'r');
  const reads: Promise<number>[] = [];
  const startReads = (count: number): void => {
    while (reads.length < count && reads.length * chunkBytes < readBytes) {
      const read = readChunk(handle, file, layout, stored, reads.length * chunkBytes);
      // It may fail before its turn comes; whoever awaits it still hears of it.
      read.catch(() => undefined);
      reads.push(read);
    }
  };
  try {
    let done = 0;
    let next = 0;
    for (const place of places) {
      const from = place.tensor.offset - fileStart;
      for (const end = from + place.tensor.length; done < end; next += 1) {
        startReads(next + depth);
        done = (await reads[next]) ?? readBytes;
      }
      checkTensor(file, place.tensor, stored.subarray(from, from + place.tensor.length));
      if (layout.weights === 'float32') await widener.widen(place, readAt + from);
      else await widener.pass(place);
    }
  } finally {
    await Promise.allSettled(reads);
  }
};
