import { closeSync, fstatSync, openSync, readFileSync } from 'node:fs';
import { platform } from 'node:os';
import koffi from 'koffi';

const libc = koffi.load(null);
const posixMemalign = libc.func('int posix_memalign(_Out_ void **out, size_t alignment, size_t bytes)');
const cFree = libc.func('void free(void *address)');
const cMmap = libc.func(
  'intptr_t mmap(void *at, size_t bytes, int protection, int flags, int file, int64_t offset)',
);
const cMunmap = libc.func('int munmap(void *address, size_t bytes)');
const cMadvise = libc.func('int madvise(void *address, size_t bytes, int advice)');
const cCopy = libc.func('void *memmove(void *to, void *from, size_t bytes)');
const cFill = libc.func('void *memset(void *at, int byte, size_t bytes)');

/** Of <sys/mman.h>: reading, of a file, what nobody else sees; */
const readOnly = 1;
const ofFile = 2;
/** Reading and writing; private, of no file, without a claim on memory before it is written to. */
const readWrite = 3;
const reserved = platform() === 'darwin' ? 0x1042 : 0x4022;
const dontNeed = 4;

/**
 * Memory at a multiple of `alignment`.
 * @throws RangeError
 */
export const allocate = (bytes: number, alignment: number): bigint => {
  const out: [unknown] = [null];
  const code: unknown = posixMemalign(out, alignment, bytes);
  if (code !== 0 || typeof out[0] !== 'bigint') throw new RangeError(`no memory for ${bytes} bytes`);
  return out[0];
};

export const free = (address: bigint): void => {
  cFree(address);
};

/**
 * Addresses whose pages come when they are written to, filled with zeros.
 * @throws RangeError
 */
export const reserve = (bytes: number): bigint => {
  const address = BigInt(cMmap(0n, bytes, readWrite, reserved, -1, 0) as number | bigint);
  if (address === -1n) throw new RangeError(`no addresses for ${bytes} bytes`);
  return address;
};

const largePageBytes = 2 ** 21;
const advice = { large: 14, small: 15 } as const;

/** Of those that the system has besides the usual ones; of some machines they are so large that a few would be all memory. */
const largePageOfSystem = (): number => {
  try {
    return Number(readFileSync('/sys/kernel/mm/transparent_hugepage/hpage_pmd_size', 'utf8'));
  } catch {
    return 0;
  }
};

/**
 * Asks for pages of 2 MiB, or for usual ones, from now on. Large ones come back to the system as a whole, and it joins
 * pages on its own: memory that is given back in parts is to have usual ones.
 */
export const preferPages = (address: bigint, bytes: number, size: 'large' | 'small'): void => {
  if (largePageOfSystem() === largePageBytes) cMadvise(address, bytes, advice[size]);
};

/**
 * As {@link reserve}, in pages of 2 MiB where the system gives them: a core reads them from memory up to twice as fast as those
 * of 4 KiB (docs/adr/0097).
 * @throws RangeError
 */
export const reserveLarge = (bytes: number): { readonly address: bigint; release(): void } => {
  const all = bytes + largePageBytes;
  const begin = reserve(all);
  const page = BigInt(largePageBytes);
  const address = ((begin + page - 1n) / page) * page;
  preferPages(address, bytes, 'large');
  return { address, release: () => unreserve(begin, all) };
};

export const unreserve = (address: bigint, bytes: number): void => {
  cMunmap(address, bytes);
};

/** A file in memory, whose pages come when they are read. */
export type FileMapping = {
  readonly address: bigint;
  readonly bytes: number;
  /** Takes its pages out of the memory of this process; they come back when they are read. */
  forget(): void;
  /** Nothing may use the addresses any more. */
  close(): void;
};

/**
 * Maps a file.
 * @throws Error when that is not possible
 */
export const mapFile = (path: string): FileMapping => {
  const file = openSync(path, 'r');
  try {
    const { size: bytes } = fstatSync(file);
    const address = BigInt(cMmap(0n, bytes, readOnly, ofFile, file, 0) as number | bigint);
    if (address === -1n) throw new Error(`${path} of ${bytes} bytes cannot be mapped`);
    return {
      address,
      bytes,
      forget: () => void cMadvise(address, bytes, dontNeed),
      close: () => void cMunmap(address, bytes),
    };
  } finally {
    closeSync(file);
  }
};

/** Gives pages of reserved memory back to the system; what was in them is gone. */
export const discard = (address: bigint, bytes: number): void => {
  cMadvise(address, bytes, dontNeed);
};

/** Areas may overlap. */
export const copy = (to: bigint, from: bigint, bytes: number): void => {
  cCopy(to, from, bytes);
};

export const zero = (at: bigint, bytes: number): void => {
  cFill(at, 0, bytes);
};
