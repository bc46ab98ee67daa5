import { closeSync, constants, fstatSync, openSync, readSync, writeSync } from 'node:fs';
import { invalidDelta } from './format.ts';

/** A regular file that is read by position, with its size. Blocks the thread; dispose it. */
export type ReadFile = Disposable & {
  readonly size: number;
  /** Fills the buffer from there on. Throws DELTA_INVALID where the file ends before. */
  read(target: Uint8Array, at: number): void;
};

export const openToRead = (path: string): ReadFile => {
  const file = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  return {
    size: fstatSync(file).size,
    read(target, at) {
      for (let done = 0; done < target.length; ) {
        const read = readSync(file, target, done, target.length - done, at + done);
        if (read === 0) throw invalidDelta(`${path} ends before it should`);
        done += read;
      }
    },
    [Symbol.dispose]: () => closeSync(file),
  };
};

/** A new file that is written from its beginning to its end; what was there goes. Blocks the thread; dispose it. */
export const openToWrite = (path: string): Disposable & { write(bytes: Uint8Array): void } => {
  const file = openSync(path, 'w', 0o600);
  return {
    write(bytes) {
      for (let done = 0; done < bytes.length; ) done += writeSync(file, bytes, done, bytes.length - done);
    },
    [Symbol.dispose]: () => closeSync(file),
  };
};
