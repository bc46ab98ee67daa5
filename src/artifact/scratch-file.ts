import { removeAll } from '../disk/durable.ts';
import type { Reservation } from './disk-budget.ts';

/** A place for a file that is needed for a moment. */
export type ScratchFile = AsyncDisposable & { readonly path: string };

/** The file and the room for it go together. */
export const scratchFile = (path: string, room: Reservation): ScratchFile => ({
  path,
  async [Symbol.asyncDispose]() {
    await removeAll(path);
    room[Symbol.dispose]();
  },
});
