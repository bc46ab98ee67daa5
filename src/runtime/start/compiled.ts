import { join } from 'node:path';
import { CompiledFolder } from '../compiled/compiled-folder.ts';
import type { Disk } from './disk.ts';
import type { RuntimeParts } from './parts.ts';

/** A folder of compiled files below the data folder, within the disk of adapters. What its artifact has left goes. */
export const openCompiled = async (
  name: string,
  { settings, logger }: Pick<RuntimeParts, 'settings' | 'logger'>,
  { store }: Pick<Disk, 'store'>,
): Promise<CompiledFolder> => {
  const { budget, caution } = store;
  const folder = await CompiledFolder.open({
    dir: join(settings.dataDir, name),
    budget,
    makeRoom: () => store.clearLeftovers(),
    caution,
  });
  await folder
    .removeOrphans((digest) => store.stored(digest) !== undefined)
    .catch((error: unknown) => {
      logger.warn({ err: error, name }, 'compiled files of artifacts that are gone could not be removed');
    });
  return folder;
};
