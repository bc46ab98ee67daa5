import { randomUUID } from 'node:crypto';
import { dirname } from 'node:path';
import { type Files, nodeFiles } from './files.ts';

/** Removes a file or a folder with all that is in it; nothing when it is not there. */
export const removeAll = (path: string): Promise<void> => nodeFiles.remove('all', path);

/** Makes the entries of a folder survive a power cut. */
export const syncFolder = (folder: string): Promise<void> => nodeFiles.sync('folder', folder);

/** What {@link writeDurable} does, in its order; `drop` only after a failure. */
type DurableStep = 'mkdir' | 'write' | 'fsync' | 'rename' | 'drop' | 'fsync-folder';

/** `at`: how a step is called there. */
export type DurableOptions<Point extends string> = {
  readonly files: Files<Point>;
  readonly at: (step: DurableStep) => Point;
};

const onNode: DurableOptions<never> = { files: nodeFiles, at: (step) => step as never };

/**
 * Replaces a file so that a reader, also one after a power cut, sees the old or the new content and nothing between:
 * temporary file beside it, fsync, rename, fsync of the folder. On an error the old content stays.
 */
export const writeDurable = async <Point extends string>(
  path: string,
  data: string | Uint8Array,
  { files, at }: DurableOptions<Point> = onNode,
): Promise<void> => {
  const folder = dirname(path);
  await files.mkdir(at('mkdir'), folder);
  const temporary = `${path}.${randomUUID().slice(0, 8)}.tmp`;
  try {
    await files.writeFile(at('write'), temporary, data, 'isNew');
    await files.sync(at('fsync'), temporary);
    await files.rename(at('rename'), temporary, path);
  } catch (error) {
    await files.remove(at('drop'), temporary);
    throw error;
  }
  await files.sync(at('fsync-folder'), folder);
};
