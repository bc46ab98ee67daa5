import { errnoOf } from '../errors/errno.ts';
import type { Reservation } from './disk-budget.ts';
import type { StorePaths } from './store-files.ts';

/** A place for a file that is needed for a moment. */
export type ScratchFile = AsyncDisposable & { readonly path: string };

/** The file and the room for it go together. What the disk does not remove stays, with its room, until the next start clears it away. */
export const scratchFile = (
  { files, scratch }: Pick<StorePaths, 'files' | 'scratch'>,
  number: number,
  room: Reservation,
): ScratchFile => ({
  path: scratch(number),
  async [Symbol.asyncDispose]() {
    try {
      await files.remove('scratch.remove', this.path);
    } catch (error) {
      // Thrown here it would hide why the work with the file failed, as on a disk that became read-only.
      if (errnoOf(error) === undefined) throw error;
      return;
    }
    room[Symbol.dispose]();
  },
});
